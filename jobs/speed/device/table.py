"""The measurements in a folder as a table with one column per device."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from jobs.speed.device.bench import row_file
from jobs.speed.device.rows import ROWS

DEVICES = ("cuda", "cpu")
SIZES = ("batch", "images", "queries", "side", "epochs")
"""Sizes that a cell shows beside its value."""
FURTHER = ("ms", "mfu", "memory_mb", "over_one", "accuracy", "repeated", "error")
"""Further values that a cell shows."""
Cells = dict[tuple[str, str, int], dict[str, str]]


def table(folder: Path) -> Table:
    """The measurements of all rows in ``folder``. Equal quantities of a row stand in the order of their measurement."""
    cells: Cells = {}
    names = {}
    for row in ROWS:
        for device in DEVICES:
            path = row_file(folder, device, row)
            if not path.exists():
                continue
            content = json.loads(path.read_text())
            names[device] = content["header"]["hardware"]
            seen: Counter[str] = Counter()
            for entry in content["entries"]:
                key = (row, entry["what"], seen[entry["what"]])
                seen[entry["what"]] += 1
                cells.setdefault(key, {})[device] = shown(entry)
    made = Table(show_lines=False, expand=True)
    made.add_column("row", no_wrap=True)
    made.add_column("what")
    for device in names:
        made.add_column(f"{device}: {escape(names[device])}")
    for (row, what, _), values in cells.items():
        made.add_row(row, escape(what), *(escape(values.get(device, "")) for device in names))
    return made


def shown(entry: Mapping[str, Any]) -> str:
    """A measurement in a few words."""
    value = "" if entry["value"] is None else f"{entry['value']:.4g} {entry['unit']}".strip()
    sizes = [f"{name} {entry[name]}" for name in SIZES if entry.get(name) is not None]
    rest = [f"{name} {entry[name]}" for name in FURTHER if entry.get(name) is not None]
    return "; ".join([value] * bool(value) + sizes + rest)
