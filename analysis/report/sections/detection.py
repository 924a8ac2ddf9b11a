"""The quality of detectors: how well each one finds unstable trials."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.questions.detection import DetectorQuality
from analysis.report.context import ReportContext
from analysis.report.figures.detection import roc
from analysis.report.figures.style import SERIES
from analysis.report.formatting import NOTHING, format_ends
from analysis.report.sections.base import Section, picture
from analysis.report.tables.text_table import TextTable
from analysis.statistics.intervals import Proportion
from core.quantity import quantity

HEADER = ("detector", "AUC", "threshold", "found", "false alarms", "epochs ahead")


def detector_sections(context: ReportContext) -> list[Section]:
    """One section: ROC curves of all detectors that the traces allow, and the error rates of recommended thresholds."""
    patience, level = context.records[0].protocol["fosc_patience"], context.level
    judged, skipped = context.detectors["any"]
    if not judged:
        reasons = _reasons(skipped)
        return [Section("detectors", "Detectors", f"No detector can be compared yet. {reasons}".rstrip())]
    best = judged[0]
    table = TextTable(
        HEADER,
        [_row(quality) for quality in judged],
        caption="Found and false alarms are cross-validated: each trial is judged by a threshold chosen on other "
        f"trials, and cells are pooled. Brackets: {100 * level:g} % intervals; those of these two columns do not "
        "allow for the choice of the threshold. Epochs ahead: from the alarm to the confirmation, median [quartiles].",
    )
    return [
        Section(
            "detectors",
            "Detectors",
            f"Each detector is replayed over the stored traces of {best.positives} trials with a confirmed instability "
            f"and {best.negatives} trials without one, with patience {patience}, in the "
            f"{quantity(best.cells, 'cell')} with trials of both kinds. AUC: how often is the score of an unstable "
            "trial larger than that of a stable one of the same cell? A detector that only tells cells apart has 0.5. "
            "The trace of a stopped trial ends at the stop; a slower detector cannot find such a trial.",
            [
                picture(
                    roc(judged),
                    "Detectors' hit rate against false-alarm rate",
                    "Hit rate against false-alarm rate within cells, over all thresholds, with the AUC (best "
                    f"{len(SERIES)}).",
                )
            ],
            [table.without_empty_columns()],
            _reasons(skipped),
        )
    ]


def _reasons(skipped: Mapping[str, str]) -> str:
    """The detectors that could not be compared, by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        by_reason.setdefault(reason, []).append(name)
    return " ".join(f"Not compared ({reason}): {'; '.join(names)}." for reason, names in by_reason.items())


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


def _share(found: Proportion | None) -> str:
    return NOTHING if found is None else f"{found.k}/{found.n} [{format_ends(found.interval)} %]"
