"""Accuracies under attacks without gradients of the network: Table 2 of SEAT (Li and Yu 2022)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis.questions.rates import group_by_cell, naming_factors, outcome
from analysis.report.attack_names import attack_name
from analysis.report.context import ReportContext
from analysis.report.formatting import format_mean
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from analysis.statistics.means import MeanStd
from core.config.naming import format_value, setting_name
from core.records import Evidence, Measurement, TrialRecord

WHITE_BOX = ("clean", "pgd-10")
TRANSFER = "transfer-"
CHECKSUM = re.compile(r"-[0-9a-f]{8}$")
"""The end of a source's name, such as ``resnet34-1a2b3c4d``."""


def black_box_sections(context: ReportContext) -> list[Section]:
    """One section, if a selected checkpoint was attacked from another network (``--attacks transfer-...``)."""
    evaluated = [(record, evidence) for record in context.counted if (evidence := _transferred(record)) is not None]
    if not evaluated:
        return []
    shown = {m.label: _kind(m.attack) for _, evidence in evaluated for m in evidence.measurements if _shown(m)}
    attacks = sorted(shown, key=lambda label: (shown[label], label))
    groups = group_by_cell([record for record, _ in evaluated])
    factors = naming_factors([group[0] for group in groups.values()])
    evidence_of = {record.key: evidence for record, evidence in evaluated}
    rows = []
    for group in groups.values():
        for kind in sorted({outcome(record) for record in group}):
            chosen = [evidence_of[record.key] for record in group if outcome(record) == kind]
            cell = [format_value(group[0].cell.get(name)) for name in factors] or [setting_name(group[0].cell)]
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
                    [
                        *(factors or ["cell"]),
                        "outcome",
                        "trials",
                        *_names(attacks),
                    ],
                    rows,
                    len(factors or ["cell"]) + 1,
                    f"Accuracies of selected checkpoints in percent on {' or '.join(map(str, images))} test images, "
                    "mean ± sample sd over trials. From: adversarial images of the network that --source named. A "
                    "transfer that leaves more than PGD says nothing.",
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


def _names(labels: Sequence[str]) -> list[str]:
    """Names of columns. The checksum of a source is left out unless two sources have one architecture."""
    whole = [attack_name(label.removeprefix(TRANSFER)) for label in labels]
    short = [CHECKSUM.sub("", name) for name in whole]
    return [one if short.count(one) == 1 else name for one, name in zip(short, whole, strict=True)]


def _kind(attack: str) -> int:
    """Place of an attack among the columns: clean images, PGD, Square, transfers."""
    return WHITE_BOX.index(attack) if attack in WHITE_BOX else len(WHITE_BOX) + attack.startswith(TRANSFER)


def _mean(chosen: Sequence[Evidence], label: str) -> str:
    known = [m.accuracy for evidence in chosen for m in evidence.measurements if m.label == label]
    return format_mean(MeanStd.of(known) if known else None)
