"""The origin of the numbers: options, protocol, seeds, versions and hardware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from analysis.questions.rates import varying_factors
from analysis.report.context import ReportContext
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from core.config.naming import format_value


def provenance_sections(context: ReportContext) -> list[Section]:
    """One section: options that all cells share, the protocol, seeds, and the versions and hardware of the records."""
    records = context.records
    varying = set(varying_factors(records))
    shared = [(name, format_value(value)) for name, value in records[0].cell.items() if name not in varying]
    protocol = [(name, _values(r.protocol.get(name) for r in records)) for name in records[0].protocol]
    known = sorted({key for record in records for key in record.provenance})
    made_by = [(key, _values(r.provenance.get(key) for r in records)) for key in known]
    return [
        Section(
            "provenance",
            "Provenance",
            f"Seeds: {seed_ranges({record.seed for record in records})}. Audited trials: "
            f"{sum(record.audit for record in records)}. Options that vary: {', '.join(sorted(varying)) or 'none'}. "
            "If trials differ in a value, the number of trials is in brackets.",
            tables=[
                TextTable(("made by", "value"), made_by, words=2),
                TextTable(("protocol", "value"), protocol, words=2),
                TextTable(("option of all cells", "value"), shared, words=2),
            ],
        )
    ]


def seed_ranges(seeds: Iterable[int]) -> str:
    """Seeds as ranges: ``0–9, 12``."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)


def _values(found: Iterable[object]) -> str:
    counts = Counter(format_value(value) for value in found)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} ({count})" for value, count in counts.most_common())
