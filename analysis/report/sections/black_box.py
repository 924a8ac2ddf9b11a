"""Accuracies under attacks without gradients of the network: Table 2 of SEAT (Li and Yu 2022)."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.rates import group_by_cell, naming_factors, outcome
from analysis.report.attack_names import attack_name
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from analysis.statistics.means import MeanStd
from core.config.naming import format_value
from core.records import Evidence, Measurement, TrialRecord

WHITE_BOX = ("clean", "pgd-10")
TRANSFER = "transfer-"


def black_box_sections(context: ReportContext) -> list[Section]:
    """One section, if a selected checkpoint was attacked from another network (``--attacks transfer-...``)."""
    evaluated = [(record, evidence) for record in context.counted if (evidence := _transferred(record)) is not None]
    if not evaluated:
        return []
    attacks = dict.fromkeys(m.label for _, evidence in evaluated for m in evidence.measurements if _shown(m))
    groups = group_by_cell([record for record, _ in evaluated])
    factors = naming_factors([group[0] for group in groups.values()])
    evidence_of = {record.key: evidence for record, evidence in evaluated}
    rows = []
    for cell_id, group in groups.items():
        for kind in sorted({outcome(record) for record in group}):
            chosen = [evidence_of[record.key] for record in group if outcome(record) == kind]
            cell = [format_value(group[0].cell.get(name)) for name in factors] or [cell_id]
            rows.append([*cell, kind, str(len(chosen)), *(_mean(chosen, attack) for attack in attacks)])
    images = sorted({evidence.measurements[0].images for _, evidence in evaluated})
    return [
        Section(
            "black-box",
            "Black box",
            "A network whose gradients are masked resists attacks by its own gradients, and not those that Square or "
            "another network's gradients find. Counterpart: Table 2 of SEAT.",
            tables=[
                TextTable(
                    [*(factors or ["cell"]), "outcome", "trials", *map(attack_name, attacks)],
                    rows,
                    len(factors or ["cell"]) + 1,
                    f"Accuracies of selected checkpoints on {' or '.join(map(str, images))} test images, mean ± sample "
                    "sd over trials. Transfer: adversarial images of the network that --source named.",
                )
            ],
        )
    ]


def _transferred(record: TrialRecord) -> Evidence | None:
    """The latest evaluation of the selected checkpoint with a transfer attack."""
    found = [
        evidence
        for evidence in record.evaluations
        if evidence.checkpoint == "selected" and any(m.attack.startswith(TRANSFER) for m in evidence.measurements)
    ]
    return found[-1] if found else None


def _shown(measured: Measurement) -> bool:
    return measured.attack in WHITE_BOX or measured.attack.startswith((TRANSFER, "square"))


def _mean(chosen: Sequence[Evidence], label: str) -> str:
    known = [m.accuracy for evidence in chosen for m in evidence.measurements if m.label == label]
    return str(MeanStd.of(known)) if known else NOTHING
