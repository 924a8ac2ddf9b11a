"""How a sweep differs from the stored sweep of the same name in what must not change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.config.protocol import with_defaults
from core.ledger.description import SweepDescription
from core.records import TrialRecord

SETTINGS = {
    *("train_images", "test_images", "validation_images", "data_seed"),
    *("epochs", "drop_last", "precision", "channels_last", "compile", "workers"),
}
"""Options for which a new value is another experiment and needs another sweep.

Cells with new values of any other option may be added to a stored sweep."""


def differences_of_description(known: SweepDescription, new: Mapping[str, Any]) -> list[str]:
    """How a sweep differs from its stored description; `core.ledger.plugins` compares the plug-ins.

    Args:
        known: the stored description.
        new: the content of the sweep's own description, see `core.ledger.content.content_of`.
    """
    return [
        *changed("protocol", with_defaults(known.protocol), new["protocol"]),
        *changed("seeds from", known.rerun, new["rerun"]),
        *_changed_groups(known.pin_groups, new["pin_groups"]),
        *_changed_settings(known.cells.values(), new["cells"].values()),
    ]


def differences_of_records(records: Iterable[TrialRecord], new: Mapping[str, Any]) -> list[str]:
    """How a new sweep differs from the records of a sweep that has lost its description."""
    protocols: dict[str, dict[str, Any]] = {}
    stored: dict[str, dict[str, Any]] = {}
    for record in records:
        protocols[json.dumps(record.protocol)] = record.protocol
        stored[record.cell_id] = record.cell
    lines = [changed("protocol", with_defaults(before), new["protocol"]) for before in protocols.values()]
    differences = dict.fromkeys(line for of_one in lines for line in of_one)
    return [*differences, *_changed_settings(stored.values(), new["cells"].values())]


def changed(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One line for each name whose values differ; ``kind`` says in the line what the names are."""
    names = [*before, *(name for name in after if name not in before)]
    return [
        f"{kind} {name}: {before.get(name)} stored, {after.get(name)} given"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _changed_groups(before: Sequence[Mapping[str, int]], after: Sequence[Mapping[str, int]]) -> list[str]:
    """The first difference between the common groups of both sequences.

    Groups may only be added at the end, because the position of a group decides which seeds its trials have.
    """
    for number, (stored, given) in enumerate(zip(before, after, strict=False), start=1):
        if stored != given:
            return [f"pinned streams of group {number}: {dict(stored) or 'none'} stored, {dict(given) or 'none'} given"]
    return []


def _changed_settings(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each option among `SETTINGS` that has a stored value which the new cells do not have."""
    old, new = list(before), list(after)
    differences = []
    for name in (option for option in new[0] if option in SETTINGS):
        stored, given = ({json.dumps(cell.get(name)) for cell in cells} for cells in (old, new))
        if not stored <= given:
            differences.append(f"{name}: {', '.join(sorted(stored))} stored, {', '.join(sorted(given))} given")
    return differences
