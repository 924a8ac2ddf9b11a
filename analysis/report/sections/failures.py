"""How well each detector finds each kind of failure."""

from __future__ import annotations

from analysis.questions.failures import FAILURES, Failure
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable

SINGLE: tuple[Failure, ...] = ("masking", "catastrophic", "robust-overfitting")


def failure_sections(context: ReportContext) -> list[Section]:
    """One section with the AUC of each detector for each failure that some trials have and others lack."""
    by_failure: dict[Failure, dict[str, str]] = {}
    counts = []
    for failure in SINGLE:
        judged = context.detectors[failure].qualities
        if judged:
            total = judged[0].positives + judged[0].negatives
            counts.append(f"{failure}: {FAILURES[failure]} ({judged[0].positives} of {total} trials)")
            by_failure[failure] = {
                quality.name: f"{quality.auc:.2f} [{quality.auc_interval.low:.2f}–{quality.auc_interval.high:.2f}]"
                for quality in judged
            }
    if not by_failure:
        return []
    names = dict.fromkeys(name for found in by_failure.values() for name in found)
    rows = [[name, *(found.get(name, NOTHING) for found in by_failure.values())] for name in names]
    table = TextTable(["detector", *(failure.replace("-", " ") for failure in by_failure)], rows)
    return [
        Section(
            "failures",
            "Detectors by failure",
            f"AUC with its {100 * context.level:g} % interval, separately for each failure. "
            f"{'; '.join(counts)}. A trial that was stopped has no last epoch, and does not count for robust "
            "overfitting.",
            tables=[table],
        )
    ]
