"""Whether all trials of a sweep were trained by the same code, on the same data, and on machines of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from core.config import DataOptions
from core.quantity import quantity
from core.records import TrialRecord

COMPARED = {
    "core": "versions of the code (hash of the folder core)",
    "torch": "versions of torch",
    "hardware": "kinds of processor",
}
"""What may change a trial's numbers, by its name in the provenance."""


def mixtures(records: Sequence[TrialRecord]) -> list[str]:
    """A sentence for each entry of `COMPARED`, and for the data, that differs between trials or attempts.

    A trial whose workers died names little, and one of an earlier version does not name its data. It counts for what
    it names.
    """
    found = [_sentence(what, [_values(record, name) for record in records]) for name, what in COMPARED.items()]
    by_options: dict[str, list[TrialRecord]] = {}
    for record in records:
        options = str([record.cell.get(option) for option in DataOptions.model_fields])
        by_options.setdefault(options, []).append(record)
    found += [
        _sentence("versions of the same data", [_values(record, "data") for record in group])
        for group in by_options.values()
    ]
    return [sentence for sentence in found if sentence]


def _values(record: TrialRecord, name: str) -> set[str]:
    return {part[name] for part in (*record.took_part, record.provenance) if name in part}


def _sentence(what: str, trials: Iterable[set[str]]) -> str | None:
    counts: Counter[str] = Counter()
    changed = 0
    for values in trials:
        counts.update(values)
        changed += len(values) > 1
    if len(counts) < 2:
        return None
    shown = ", ".join(f"{value} ({quantity(count, 'trial')})" for value, count in counts.most_common())
    between = f"; {quantity(changed, 'trial')} changed between attempts" if changed else ""
    return f"The trials of this sweep mix {what}: {shown}{between}."
