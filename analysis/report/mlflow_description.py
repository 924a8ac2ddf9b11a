"""The description of a sweep's run in MLflow."""

from __future__ import annotations

from analysis.questions.rates import varying_factors
from analysis.report.answer_sentence import answer_sentence
from analysis.report.context import ReportContext
from analysis.report.decision_sentence import decision_sentence
from analysis.report.end_of_training import end_sentence
from analysis.report.tables.cells_export import to_markdown
from analysis.report.tables.text_table import TextTable, markdown_table
from core.config.naming import format_value


def mlflow_description(context: ReportContext) -> str:
    """The answer in words, the table of cells, what is known of the end of training, and the options, as Markdown."""
    parts = [
        answer_sentence(context.cells, decision_sentence(context), context.together),
        to_markdown(context.cells),
        end_sentence(context),
        _options(context),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _options(context: ReportContext) -> str:
    """The options that all cells share."""
    if not context.records:
        return ""
    varying = set(varying_factors(context.records))
    shared = [(name, format_value(value)) for name, value in context.records[0].cell.items() if name not in varying]
    return markdown_table(TextTable(("option of all cells", "value"), shared, words=2))
