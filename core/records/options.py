"""Comparison of the options of several cells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def varying_options(cells: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the options with more than one value among the cells, in the order of the cells' own options.

    A cell that lacks an option (it has another method, or was stored before the option existed) is not counted for it.
    """
    values: dict[str, set[str]] = {}
    for cell in cells:
        for name, value in cell.items():
            values.setdefault(name, set()).add(json.dumps(value))
    return [name for name, found in values.items() if len(found) > 1]
