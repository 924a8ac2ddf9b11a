"""Whether a stored cell has the id under which it is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from core.config import Cell
from core.config.plugins import PluginError


def is_cell_of(cell_id: str, cell: Mapping[str, Any], sealed: bool) -> bool:
    """False if the id of ``cell`` is not ``cell_id``.

    The id of a cell that this process cannot build is not known. True is returned if the cell uses a plug-in that is
    not loaded. A value that this version does not allow is one of a newer version if a checksum protects the cell;
    files without a checksum are of unmask 0.1.0, all of whose values are allowed.

    Args:
        cell_id: the id under which the cell is stored.
        cell: the cell's flat options.
        sealed: whether a checksum protects the cell.
    """
    return _is_cell_of(cell_id, json.dumps(cell), sealed)


@lru_cache(maxsize=4096)
def _is_cell_of(cell_id: str, cell: str, sealed: bool) -> bool:
    values = json.loads(cell)
    if not values:
        return False
    try:
        return Cell.stored(values, "the cell").id == cell_id
    except PluginError:
        return True
    except ValueError:
        return sealed
