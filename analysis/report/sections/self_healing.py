"""Recoveries of trials, and the parts of the paper's signature of self-healing that each one shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.questions.rates import trial_names
from analysis.questions.self_healing import NEAR_ZERO, Change, Recovery, recoveries
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable

HEADER = (
    *("trial", "healing", "signature", "onset", "recovery", "FOSC: peak → recovery"),
    *("training accuracy", "usual", "gradient norm", "usual"),
)
WORDS = 3
SIGNATURE = {True: "complete", False: "incomplete", None: "not all measured"}
MAX_RECOVERIES = 40
"""Largest number of recoveries in the table."""


def self_healing_sections(context: ReportContext) -> list[Section]:
    """One section; none if no trial recovered."""
    found = recoveries(context.records)
    if not found:
        return []
    alone = [recovery for recovery in found if not recovery.with_healing]
    shown = found[:MAX_RECOVERIES]
    caption = (
        f"FOSC is nearly zero if it is at most {100 * NEAR_ZERO:.0f} % of its peak since the onset. Training accuracy: "
        "clean, change at the recovery. "
        + (
            "Gradient norm: of the whole loss, change in the next epoch. "
            if any(r.gradient_norm for r in shown)
            else ""
        )
        + "Usual: share of the trial's other changes between epochs that are at least as low; a large share is weak "
        "evidence."
    )
    if len(found) > len(shown):
        caption += f" The first {len(shown)} of {len(found)} recoveries."
    names = trial_names(context.records)
    rows = [_row(recovery, names.of(recovery.record)) for recovery in shown]
    return [
        Section(
            "self-healing",
            "Recoveries",
            f"{_summary(alone)} The paper (section 5.3) describes one such trial: FOSC drops to nearly zero, clean "
            "training accuracy falls in the same epoch, and the norm of the weight gradient falls in the next one.",
            tables=[TextTable(HEADER, rows, WORDS, caption).without_empty_columns()],
        )
    ]


def _summary(alone: Sequence[Recovery]) -> str:
    if not alone:
        return "No trial recovered without healing."
    complete, failed = (sum(recovery.signature is value for recovery in alone) for value in (True, False))
    unknown = len(alone) - complete - failed
    counts = {"with the complete signature": complete, "with a part missing": failed, "not fully measured": unknown}
    listed = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"Recoveries without healing: {listed}."


def _row(recovery: Recovery, name: str) -> list[str]:
    peak, fosc = (NOTHING if v is None else f"{v:.2g}" for v in (recovery.peak_fosc, recovery.fosc))
    return [
        name,
        "yes" if recovery.with_healing else "no",
        SIGNATURE[recovery.signature],
        str(recovery.onset_epoch),
        str(recovery.epoch),
        f"{peak} → {fosc}",
        *_change(recovery.accuracy, lambda change: f"{100 * (change.after - change.before):+.1f} points"),
        *_change(recovery.gradient_norm, lambda change: f"{100 * (change.after / change.before - 1):+.0f} %"),
    ]


def _change(change: Change | None, size: Callable[[Change], str]) -> tuple[str, str]:
    if change is None:
        return NOTHING, NOTHING
    return size(change), NOTHING if change.usual is None else f"{100 * change.usual:.0f} %"
