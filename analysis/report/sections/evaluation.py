"""Robust accuracies of stored checkpoints under AutoAttack, as `jobs/evaluate.py` measured them."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from analysis.questions.autoattack_gap import AUTOATTACKS
from analysis.report.context import ReportContext
from analysis.report.sections.base import Section
from analysis.report.tables.evaluation_table import evaluation_rows, evaluation_table
from core.records import CheckpointName


def evaluation_sections(context: ReportContext) -> list[Section]:
    """One section with a table for each evaluated checkpoint and kind of AutoAttack; none without an evaluation."""
    tables = []
    for checkpoint in get_args(CheckpointName):
        for autoattack in AUTOATTACKS:
            rows = evaluation_rows(context.counted, checkpoint, autoattack)
            if any(autoattack in row.accuracies for row in rows):
                table = evaluation_table(rows)
                tables.append(replace(table, caption=f"{checkpoint.capitalize()} checkpoints. {table.caption}"))
    text = (
        "The columns are those of the paper's Tables 1 and 3: each attack alone on all images, AutoAttack, and the gap "
        "between PGD and AutoAttack."
    )
    return [Section("evaluation", "Under AutoAttack", text, tables=tables)] if tables else []
