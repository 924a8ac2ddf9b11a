"""How well each detector finds each kind of failure."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.questions.detection import DetectorQuality
from analysis.questions.failures import FAILURES, Failure, has_failure
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable

SINGLE: tuple[Failure, ...] = ("masking", "catastrophic", "robust-overfitting")
ByDetector = Mapping[str, DetectorQuality]


def failure_sections(context: ReportContext) -> list[Section]:
    """One section with the failures of the trials, and how well each detector finds each; none without a failure."""
    known = {failure: [has_failure(record, failure) for record in context.records] for failure in SINGLE}
    if not any(any(found) for found in known.values()):
        return []
    judged: dict[Failure, ByDetector] = {
        failure: {quality.name: quality for quality in context.detectors[failure].qualities} for failure in SINGLE
    }
    rows = [
        [_name(failure), *FAILURES[failure], _count(known[failure]), _judged(judged[failure])] for failure in SINGLE
    ]
    definitions = TextTable(["failure", "what it is", "its onset", "trials", "judged"], rows, 3)
    return [
        Section(
            "failures",
            "Detectors by failure",
            "The detectors of the section above, separately for each failure. A trial that was stopped has no last "
            "epoch, and does not count for robust overfitting. Judged: the trials with and without the failure in "
            "cells that have both.",
            tables=[definitions, *_qualities(judged, context.level)],
        )
    ]


def _qualities(judged: Mapping[Failure, ByDetector], level: float) -> list[TextTable]:
    shown = [failure for failure in SINGLE if judged[failure]]
    names = dict.fromkeys(name for failure in shown for name in judged[failure])
    if not names:
        return []
    header = ["detector", *(text for failure in shown for text in (f"{_name(failure)}: AUC", "epochs ahead"))]
    rows = [[name, *(text for failure in shown for text in _quality(judged[failure].get(name)))] for name in names]
    caption = (
        f"AUC with its {100 * level:g} % interval. Epochs ahead: from the alarm at the threshold that separates best "
        "to the failure's onset, median [quartiles] over trials with both; negative where the alarm comes later."
    )
    return [TextTable(header, rows, caption=caption)]


def _quality(quality: DetectorQuality | None) -> tuple[str, str]:
    if quality is None:
        return NOTHING, NOTHING
    auc, lead = quality.auc_interval, quality.lead_epochs
    ahead = NOTHING if lead is None else f"{lead[1]:.0f} [{lead[0]:.0f} to {lead[2]:.0f}]"
    return f"{quality.auc:.2f} [{auc.low:.2f}–{auc.high:.2f}]", ahead


def _count(found: list[bool | None]) -> str:
    known = [one for one in found if one is not None]
    return f"{sum(known)} of {len(known)}"


def _judged(qualities: ByDetector) -> str:
    quality = next(iter(qualities.values()), None)
    return "no cell has both" if quality is None else f"{quality.positives} and {quality.negatives}"


def _name(failure: Failure) -> str:
    return failure.replace("-", " ")
