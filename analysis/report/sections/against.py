"""The cells of the sweep beside those of another sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from analysis.questions.compare_counts import RATE_MARGIN
from analysis.questions.compare_sweeps import CONCLUSIONS, CellPair, compare_sweeps
from analysis.questions.countable_trials import is_adaptive
from analysis.questions.rates import LABEL_QUESTIONS, CellRate
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING, format_count, format_rate
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from core.config.naming import describe, format_value
from core.quantity import quantity
from core.records import TrialRecord

Change = tuple[Any, Any]


def against_sections(context: ReportContext) -> list[Section]:
    """One section; none if the sweep is not compared with another one."""
    other = context.against
    if other is None:
        return []
    here = replace(context, label=other.label)
    found = compare_sweeps(here.cells, other.cells, _cells(here), _cells(other), context.level)
    shared = _shared(found.pairs)
    alone = [
        f"{quantity(len(cells), 'cell')} of {sweep} without a counterpart"
        for sweep, cells in ((here.sweep, found.only_here), (other.sweep, found.only_there))
        if cells
    ]
    matched = f"Cells match if they agree in {', '.join(found.matched_by)}" if found.matched_by else "The cells match"
    text = f"{LABEL_QUESTIONS[other.label]} {matched}. "
    if found.pairs:
        text += (
            f"Options that all pairs differ in: {_changes(shared) or 'none'}. "
            f"Protocols differ in: {_changes(_protocol_changes(here.records, other.records)) or 'nothing'}."
            + (f" Left out: {' and '.join(alone)}." if alone else "")
        )
    else:
        text += f"No cell of {here.sweep} has a counterpart in {other.sweep}."
    return [
        Section(
            "against",
            f"Comparison with {other.sweep}",
            text,
            tables=[_table(found.pairs, here, other, shared)] if found.pairs else [],
            note=_note(found.pairs, here, other),
        )
    ]


def _table(
    pairs: Sequence[CellPair], here: ReportContext, other: ReportContext, shared: Mapping[str, Change]
) -> TextTable:
    besides = [{name: change for name, change in pair.changed.items() if name not in shared} for pair in pairs]
    rows = [
        [
            describe(pair.factors) or pair.here.setting,
            pair.conclusion,
            _changes(changes) or NOTHING,
            _rate(pair.here),
            _rate(pair.there),
            NOTHING if pair.difference is None else _points(pair.difference),
            NOTHING if pair.difference is None else f"{pair.p_value:.2g}",
        ]
        for pair, changes in zip(pairs, besides, strict=True)
    ]
    header = ["cell", "conclusion", "also differs", here.sweep, other.sweep, "difference", "p (Holm)"]
    if not any(besides):
        header, rows = [*header[:2], *header[3:]], [[*row[:2], *row[3:]] for row in rows]
    caption = (
        f"Counts and rates with the {100 * here.level:g} % interval of each sweep's design. Difference: points, "
        f"{here.sweep} minus {other.sweep}, {100 * here.level:g} % melded interval of each pair. p: Boschloo's exact "
        "test, with Holm's correction over all pairs."
    )
    return TextTable(header, rows, len(header) - 4, caption)


def _note(pairs: Sequence[CellPair], here: ReportContext, other: ReportContext) -> str:
    found = {pair.conclusion for pair in pairs}
    notes = ["; ".join(f"{name}: {meaning}" for name, meaning in CONCLUSIONS.items() if name in found)]
    if found:
        notes.append(f"Margin: {100 * RATE_MARGIN:.0f} points. Conclusions are not corrected for multiple testing")
    trials, others = ({record.key for record in side.records} for side in (here, other))
    if common := trials & others:
        notes.append(
            f"{quantity(len(common), 'trial')} of the two sweeps have the same cell and seed: they repeat one "
            "computation, and are not independent"
        )
    if is_adaptive([*here.records, *other.records]):
        notes.append("Numbers of trials depended on results, for which differences and tests do not allow")
    return "".join(f"{note}. " for note in notes if note).rstrip()


def _cells(context: ReportContext) -> dict[str, Mapping[str, Any]]:
    return {record.cell_id: record.cell for record in context.counted}


def _shared(pairs: Sequence[CellPair]) -> dict[str, Change]:
    """The options that differ in the same way in all pairs."""
    first, *others = [pair.changed for pair in pairs] or [{}]
    return {name: change for name, change in first.items() if all(other.get(name) == change for other in others)}


def _protocol_changes(here: Sequence[TrialRecord], there: Sequence[TrialRecord]) -> dict[str, Change]:
    one, other = (records[0].protocol if records else {} for records in (here, there))
    return {n: (one.get(n), other.get(n)) for n in dict.fromkeys([*one, *other]) if one.get(n) != other.get(n)}


def _changes(changes: Mapping[str, Change]) -> str:
    """Changes in words: ``method trades (there: mart)``."""
    return ", ".join(f"{name} {format_value(a)} (there: {format_value(b)})" for name, (a, b) in changes.items())


def _rate(cell: CellRate) -> str:
    return f"{format_count(cell)}: {format_rate(cell.rate, cell.interval)}"


def _points(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:+.0f} to {100 * ends[1]:+.0f}"
