"""The stored networks that are worth using."""

from __future__ import annotations

from analysis.questions.rates import outcome, selected_accuracy, trial_names
from analysis.report.attack_names import attack_name
from analysis.report.context import ReportContext
from analysis.report.formatting import format_percent
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from core.records import TrialRecord

SHOWN = 5
"""Number of networks in the table."""
ATTACKS = ("clean", "pgd-10", "pgd-50x5", "square")
"""Attacks of the verdicts, whose accuracies are shown."""


def checkpoint_sections(context: ReportContext) -> list[Section]:
    """One section: the selected checkpoints of stable trials with the best validation accuracy; none without one."""
    found = [(score, record) for record in context.records if (score := _validation_accuracy(record)) is not None]
    if not found:
        return []
    best = sorted(found, key=lambda entry: -entry[0])[:SHOWN]
    names = trial_names(context.records)
    rows = [
        [
            names.of(record),
            *(format_percent(value) for value in (score, *(selected_accuracy(record, attack) for attack in ATTACKS))),
            f"{context.sweep}/trials/{record.key}/selected.pt",
        ]
        for score, record in best
    ]
    header = ("trial", "validation", *map(attack_name, ATTACKS), "file in the storage")
    text = (
        "The selected checkpoints of stable trials with the highest PGD accuracy on validation images. Test accuracies "
        "did not choose them. In Python: load_sweep(NAME).model(KEY), where KEY is the name of the file's folder."
    )
    return [Section("checkpoints", "Networks to use", text, tables=[TextTable(header, rows)])]


def _validation_accuracy(record: TrialRecord) -> float | None:
    """PGD accuracy of the selected checkpoint on validation images; None unless the trial is stable and stored it."""
    if outcome(record) != "stable" or "selected.pt" not in record.checkpoints or record.verdict is None:
        return None
    epoch = next((e.epoch for e in record.verdict.evidence if e.checkpoint == "selected"), None)
    return next((row.get("val/pgd10_acc") for row in record.trace if row["epoch"] == epoch), None)
