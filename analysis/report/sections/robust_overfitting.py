"""Best checkpoint, last epoch, and their difference: Table 4 of ISEAT (Li and Spratling 2025)."""

from __future__ import annotations

from analysis.questions.robust_overfitting import BestAndEnd, best_and_end
from analysis.report.attack_names import attack_name
from analysis.report.context import ReportContext
from analysis.report.facets import distinct_factors
from analysis.report.formatting import format_mean, format_value
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable


def overfitting_sections(context: ReportContext) -> list[Section]:
    """One section; none if no trial ran to its end."""
    rows = best_and_end(context.counted)
    if not rows:
        return []
    names = distinct_factors(rows)
    table = TextTable(
        [*(names or ["cell"]), "attack", "trials", "images", "best", "end", "difference"],
        [_line(row, names) for row in rows],
        len(names or ["cell"]) + 1,
        "Accuracies in percent on test images, mean ± sample sd over trials; difference: best minus end, per trial.",
    )
    return [
        Section(
            "robust-overfitting",
            "Robust overfitting",
            "The best checkpoint has the highest PGD accuracy on validation images. ISEAT selects on test images, "
            "which flatters its best checkpoints a little (section 6). Counterpart: Table 4 of ISEAT.",
            tables=[table],
        )
    ]


def _line(row: BestAndEnd, names: list[str]) -> list[str]:
    cell = [format_value(row.factors[name]) for name in names] or [row.setting]
    numbers = [format_mean(row.best), format_mean(row.end), format_mean(row.difference, sign="+")]
    return [*cell, attack_name(row.label), str(row.best.trials), str(row.images), *numbers]
