"""The options of cells, compared with each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def varying_options(cells: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the options that do not have one and the same value in all cells, in the order of the first cell.

    An option that some cells do not have counts as varying: its value there is None.
    """
    flats = list(cells)
    names = dict.fromkeys(name for flat in flats for name in flat)
    return [name for name in names if any(flat.get(name) != flats[0].get(name) for flat in flats)]
