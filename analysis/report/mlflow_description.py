"""The description of a sweep's run in MLflow."""

from __future__ import annotations

from analysis.report.answer_sentence import answer_sentence
from analysis.report.context import ReportContext
from analysis.report.decision_sentence import decision_sentence
from analysis.report.end_of_training import end_sentence
from analysis.report.tables.cells_export import to_markdown


def mlflow_description(context: ReportContext) -> str:
    """The answer in words, the table of cells, and what is known about the end of training, as Markdown."""
    parts = [
        answer_sentence(context.cells, decision_sentence(context), context.together),
        to_markdown(context.cells),
        end_sentence(context),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"
