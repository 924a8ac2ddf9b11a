"""How well detectors tell unstable trials."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.detection import DetectorQuality, judge_detectors
from analysis.report.figures.detection import roc
from analysis.report.figures.style import SERIES
from analysis.report.format import NOTHING
from analysis.report.sections.base import Grid, Section, picture
from analysis.statistics.intervals import Proportion
from core.records import TrialRecord

HEADER = ("detector", "AUC", "threshold", "found", "false alarms", "epochs ahead")


def detector_section(records: Sequence[TrialRecord], level: float) -> Section:
    """ROC curves of all detectors that the traces allow, and what their recommended thresholds achieve."""
    protocol = records[0].protocol
    judged, skipped = judge_detectors(records, protocol["fosc_patience"], protocol["fosc_grace"], level=level)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
    if not judged:
        return Section("detectors", "Which alarm to trust", "No detector can be judged yet.", note=reasons)
    best = judged[0]
    return Section(
        "detectors",
        "Which alarm to trust",
        f"Detectors replayed over the stored traces of {best.positives} trials with a confirmed instability and "
        f"{best.negatives} without, patience {protocol['fosc_patience']}. A stopped trial's trace ends at the stop, so "
        "slower detectors had no chance there.",
        [
            picture(
                roc(judged), "Detectors' hit rate against false-alarm rate", f"The best {len(SERIES)}, with their AUC"
            )
        ],
        [
            Grid(
                HEADER,
                [_row(quality) for quality in judged],
                caption="Found and false alarms are cross-validated: each trial is judged by a threshold chosen on "
                f"others. Brackets: {100 * level:g} % intervals. Epochs ahead of confirmation: median, quartiles.",
            )
        ],
        f"Not judged: {reasons}." if reasons else "",
    )


def _row(quality: DetectorQuality) -> list[str]:
    auc, threshold = quality.auc_interval, quality.threshold_interval
    lead = quality.lead_epochs
    return [
        quality.name,
        f"{quality.auc:.2f} [{auc.low:.2f}–{auc.high:.2f}]",
        f"{quality.threshold:.3g} [{threshold.low:.3g} to {threshold.high:.3g}]",
        _share(quality.cross_validated_hits),
        _share(quality.cross_validated_false_alarms),
        NOTHING if lead is None else f"{lead[1]:.0f} [{lead[0]:.0f} to {lead[2]:.0f}]",
    ]


def _share(answer: Proportion | None) -> str:
    if answer is None:
        return NOTHING
    return f"{answer.k}/{answer.n} [{100 * answer.interval.low:.0f}–{100 * answer.interval.high:.0f} %]"
