"""Robust accuracies of stored checkpoints under AutoAttack, where `jobs/evaluate.py` has measured them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from analysis.questions.autoattack_gap import AUTOATTACKS
from analysis.report.sections.base import Grid, Section
from analysis.report.tables.evaluation_table import evaluation_rows, table_caption, table_lines
from core.records import CheckpointName, TrialRecord


def evaluation_sections(records: Sequence[TrialRecord]) -> list[Section]:
    """One section with a table per evaluated checkpoint and kind of AutoAttack; none if nothing was evaluated."""
    grids = []
    for checkpoint in get_args(CheckpointName):
        for autoattack in AUTOATTACKS:
            rows = evaluation_rows(records, checkpoint, autoattack)
            if any(autoattack in row.accuracies for row in rows):
                header, *lines = table_lines(rows)
                caption = f"{checkpoint.capitalize()} checkpoints. {table_caption(rows)}"
                grids.append(Grid(header, lines, words=header.index("unstable / trials"), caption=caption))
    text = "The columns of the paper's Tables 1 and 3: each attack on all images, and the gap that PGD-10 leaves open."
    return [Section("evaluation", "Under AutoAttack", text, grids=grids)] if grids else []
