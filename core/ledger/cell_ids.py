"""Whether a stored cell has the id under which it is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from core.config import Cell


def is_cell_of(cell_id: str, cell: Mapping[str, Any]) -> bool:
    """False if the id of ``cell`` is not ``cell_id``.

    The id of a cell that this process cannot build is not known, and True is returned: the cell uses a plug-in that is
    not loaded, or a value that only another version allows.
    """
    return _is_cell_of(cell_id, json.dumps(cell))


@lru_cache(maxsize=4096)
def _is_cell_of(cell_id: str, cell: str) -> bool:
    values = json.loads(cell)
    if not values:
        return False
    try:
        return Cell.stored(values, "the cell").id == cell_id
    except ValueError:
        return True
