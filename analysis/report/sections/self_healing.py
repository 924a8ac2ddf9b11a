"""Recoveries, and what of the paper's signature of self-healing each one shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.questions.rates import CellRate
from analysis.questions.self_healing import NEAR_ZERO, Change, Recovery, recoveries
from analysis.report.format import NOTHING
from analysis.report.grid import describe, distinct_factors
from analysis.report.sections.base import Grid, Section
from core.records import TrialRecord

HEADER = (
    *("cell", "by", "signature", "seed", "onset", "recovery"),
    *("FOSC: peak → then", "training accuracy", "usual", "gradient norm after", "usual"),
)
WORDS = 3
SIGNATURE = {True: "whole", False: "lacks a part", None: "not all measured"}
MOST = 40
"""More recoveries than these are only counted."""


def self_healing_sections(records: Sequence[TrialRecord], cells: Sequence[CellRate]) -> list[Section]:
    """One section, or none where no trial recovered."""
    found = recoveries(records)
    if not found:
        return []
    alone = [recovery for recovery in found if not recovery.helped]
    names = {cell.cell_id: describe({n: cell.factors[n] for n in distinct_factors(cells)}) for cell in cells}
    caption = (
        f"FOSC fell to nearly zero: to at most {100 * NEAR_ZERO:.0f} % of its peak since the onset. Training accuracy: "
        "clean, change at the recovery. Gradient norm: of the whole loss, change in the epoch after. Usual: share of "
        "the trial's other changes between epochs that are at least as far down; the larger, the less it says. "
        "by noise: trained with healing."
    )
    if len(found) > MOST:
        caption += f" The first {MOST} of {len(found)}."
    return [
        Section(
            "self-healing",
            "Recovery",
            f"{_summary(alone)} The paper (section 5.3) describes one such trial: FOSC drops to nearly zero and clean "
            "training accuracy dips in the same epoch, and the weight gradient's norm falls in the next.",
            grids=[
                Grid(
                    HEADER,
                    [_row(recovery, names.get(recovery.record.cell_id, "") or "all") for recovery in found[:MOST]],
                    WORDS,
                    caption,
                )
            ],
        )
    ]


def _summary(alone: Sequence[Recovery]) -> str:
    if not alone:
        return "No trial recovered by itself."
    whole, failed = (sum(recovery.signature is value for recovery in alone) for value in (True, False))
    unknown = len(alone) - whole - failed
    text = f"{len(alone)} recoveries without help: {whole} show the whole signature, {failed} lack a part of it"
    return text + (f", in {unknown} a part was not measured." if unknown else ".")


def _row(recovery: Recovery, name: str) -> list[str]:
    peak, fosc = (NOTHING if v is None else f"{v:.2g}" for v in (recovery.peak_fosc, recovery.fosc))
    return [
        name,
        "noise" if recovery.helped else "itself",
        SIGNATURE[recovery.signature],
        str(recovery.record.seed),
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
