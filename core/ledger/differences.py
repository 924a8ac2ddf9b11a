"""How a sweep differs from the stored sweep of the same name in what must not change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.config import ProtocolOptions
from core.config.protocol import with_defaults
from core.config.sweep import MAX_SEEDS
from core.ledger.additions import MisplacedError
from core.ledger.description import DESCRIPTION, SweepDescription
from core.records import TrialRecord

SETTINGS = {
    *("train_images", "test_images", "validation_images", "data_seed"),
    *("epochs", "drop_last", "precision", "channels_last", "compile", "workers"),
}
"""Options for which a new value is another experiment and needs another sweep.

Cells with new values of any other option may be added to a stored sweep."""


class OtherProtocolError(MisplacedError):
    """The protocol of a record is not that of its sweep's description.

    Attributes:
        differences: for each option that differs, its value in the description and in the record.
        sealed: whether a checksum protects the record.
    """

    def __init__(self, differences: Mapping[str, tuple[Any, Any]], sealed: bool) -> None:
        self.differences, self.sealed = dict(differences), sealed
        super().__init__(
            "; ".join(
                f"protocol {name}: {described} in {DESCRIPTION}, {recorded} in the record"
                for name, (described, recorded) in differences.items()
            )
        )


def check_protocol(described: Mapping[str, Any], recorded: Mapping[str, Any], sealed: bool) -> None:
    """Check that a record has the protocol of its sweep's description.

    An option that this version does not have, and that only one of both has, is not compared: a newer version has
    continued the sweep, and its default is not known here.

    Raises:
        OtherProtocolError: the protocols differ.
    """
    before, after = with_defaults(described), with_defaults(recorded)
    differences = {
        name: (before[name], after[name]) for name in before if name in after and before[name] != after[name]
    }
    if differences:
        raise OtherProtocolError(differences, sealed)


def options_of_newer_version(protocol: Mapping[str, Any]) -> list[str]:
    """The options of a stored protocol that this version does not have. It therefore cannot continue the sweep."""
    return [name for name in protocol if name not in ProtocolOptions.model_fields]


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
    """How a new sweep differs from the records of a sweep that has lost its description.

    Records of earlier versions do not say where their seeds came from. It is then not compared.
    """
    protocols: dict[str, dict[str, Any]] = {}
    stored: dict[str, dict[str, Any]] = {}
    groups: dict[int, dict[str, int]] = {}
    names: dict[str, str] = {}
    reruns: dict[str, dict[str, Any]] = {}
    for record in records:
        protocols[json.dumps(record.protocol)] = record.protocol
        stored[record.cell_id] = record.cell
        groups[record.seed // MAX_SEEDS] = record.pins
        names[record.sweep] = new["name"]
        if record.rerun is not None:
            origin = {name: value for name, value in record.rerun.items() if name != "counterpart"}
            reruns[json.dumps(origin)] = origin
    lines = [changed("protocol", with_defaults(before), new["protocol"]) for before in protocols.values()]
    lines += [changed("seeds from", origin, new["rerun"]) for origin in reruns.values()]
    differences = dict.fromkeys(line for of_one in lines for line in of_one)
    given = new["pin_groups"]
    if 0 not in groups:  # The sweep's first seed may be a large one, and the groups' numbers are not known.
        groups = {}
    return [
        *(f"name: {stored_name} stored, {name} given" for stored_name, name in names.items() if stored_name != name),
        *differences,
        *_changed_groups([groups.get(number, pins) for number, pins in enumerate(given)], given),
        *_changed_settings(stored.values(), new["cells"].values()),
    ]


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
