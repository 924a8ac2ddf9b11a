"""Robust accuracies of evaluated checkpoints, mean and standard deviation over seeds: Tables 1, 3, 5, 6 and 7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from rich.box import SIMPLE_HEAD
from rich.table import Table

from analysis.questions.autoattack_gap import AUTOATTACKS
from analysis.questions.countable_trials import countable_trials
from analysis.questions.rates import group_by_cell, has_label, varying_factors
from analysis.report.format import NOTHING, format_value
from analysis.report.grid import distinct_factors
from analysis.statistics.means import MeanStd
from core.records import CheckpointName, Evidence, TrialRecord

HEADERS = {
    "clean": "Clean",
    "pgd-10": "PGD-10",
    "apgd-ce": "APGD-CE",
    "apgd-dlr": "APGD-DLR",
    "fab": "FAB",
    "square": "Square",
    "autoattack": "AutoAttack",
    "autoattack-standard": "AutoAttack standard",
    "autoattack-plus": "AutoAttack plus",
}
GAP = "Gap"


@dataclass(frozen=True)
class EvaluationRow:
    """AutoAttackResult trials of one cell, or those of them with one outcome."""

    cell_id: str
    factors: dict[str, Any]
    outcome: str | None
    """None: whatever the outcome."""
    trials: int
    """Trials with an evaluation."""
    unstable: int
    images: tuple[int, ...]
    """Numbers of test images that the trials were evaluated on; one number unless evaluations differ."""
    budgets: tuple[str, ...]
    """What AutoAttack's runs were: steps, restarts, queries, seed, library; one unless evaluations differ."""
    accuracies: dict[str, MeanStd]
    """By attack, in [0, 1]; `GAP` is the trial's PGD-10 minus its AutoAttack accuracy."""


def evaluation_rows(
    records: Sequence[TrialRecord],
    checkpoint: CheckpointName = "selected",
    autoattack: str = "autoattack",
    by_outcome: bool = False,
) -> list[EvaluationRow]:
    """One row per cell that has evaluated trials, ordered by the options that vary.

    All of a trial's accuracies come from its largest evaluation that has ``autoattack``, or else from its largest one:
    a row never mixes image sets within a trial.

    Args:
        records: of one sweep.
        checkpoint: whose evaluations.
        autoattack: ``autoattack``, ``autoattack-standard`` or ``autoattack-plus``: what the gap is measured to.
        by_outcome: one row per cell and outcome, as "Regular" and "Unstable" in Tables 1 and 3.
    """
    names = varying_factors(records)
    rows = []
    for cell_id, group in group_by_cell(records).items():
        found = [(r, e) for r in group if (e := _largest(r, checkpoint, autoattack)) is not None]
        outcomes = sorted({_outcome(r) for r, _ in found}) if by_outcome else [None] if found else []
        for outcome in outcomes:
            chosen = [(r, e) for r, e in found if outcome in (None, _outcome(r))]
            rows.append(
                EvaluationRow(
                    cell_id=cell_id,
                    factors={name: group[0].cell.get(name) for name in names},
                    outcome=outcome,
                    trials=len(chosen),
                    unstable=sum(has_label(r, "any") is True for r, _ in chosen),
                    images=tuple(sorted({e.measurements[0].images for _, e in chosen})),
                    budgets=tuple(sorted({b for _, e in chosen if (b := _budget(e, autoattack))})),
                    accuracies=_accuracies([e for _, e in chosen], autoattack),
                )
            )
    return rows


def evaluation_table(rows: Sequence[EvaluationRow]) -> Table:
    """The table for a terminal."""
    table = Table(
        box=SIMPLE_HEAD, caption=table_caption(rows), caption_justify="left", pad_edge=False, padding=(0, 1, 0, 0)
    )
    lines = table_lines(rows)
    factors = len(lines[0]) - len(_attacks(rows)) - 1
    for index, header in enumerate(lines[0]):
        table.add_column(header.replace("_", "\n"), justify="left" if index < factors else "right")
    for line in lines[1:]:
        table.add_row(*(text.replace(" ± ", "\n± ") for text in line))
    return table


def evaluation_markdown(rows: Sequence[EvaluationRow]) -> str:
    """The table in GitHub's Markdown."""
    lines = table_lines(rows)
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{table_caption(rows)}\n"


def stored_evaluations_markdown(records: Sequence[TrialRecord]) -> str:
    """The tables of all checkpoints that were evaluated, and of each mode of AutoAttack; empty if there are none.

    Args:
        records: of one sweep; of trials that may not be counted yet only those that may are in the tables.
    """
    counted, _ = countable_trials(records)
    tables = []
    for checkpoint in get_args(CheckpointName):
        evaluations = [e for record in counted for e in record.evaluations if e.checkpoint == checkpoint]
        measured = {m.attack for evidence in evaluations for m in evidence.measurements}
        for mode in sorted(measured & set(AUTOATTACKS)) or (["autoattack"] if measured else []):
            rows = evaluation_rows(counted, checkpoint, mode)
            tables.append(f"## {checkpoint}, {mode}\n\n{evaluation_markdown(rows)}")
    return "\n".join(tables)


def table_lines(rows: Sequence[EvaluationRow]) -> list[list[str]]:
    """Header and rows as text."""
    names, attacks = distinct_factors(rows), _attacks(rows)
    outcomes = any(row.outcome for row in rows)
    header = [*(names or ["cell"]), *(["outcome"] if outcomes else []), "unstable / trials"]
    header += [HEADERS.get(attack, attack) for attack in attacks]
    lines = [header]
    for row in rows:
        cell = [format_value(row.factors[name]) for name in names] or [row.cell_id]
        cell += [row.outcome or NOTHING] if outcomes else []
        spreads = [str(row.accuracies[attack]) if attack in row.accuracies else NOTHING for attack in attacks]
        lines.append([*cell, f"{row.unstable}/{row.trials}", *spreads])
    return lines


def _attacks(rows: Sequence[EvaluationRow]) -> list[str]:
    """Columns: the paper's in its order, then others, then the gap."""
    measured = dict.fromkeys(attack for row in rows for attack in row.accuracies if attack != GAP)
    known = [attack for attack in HEADERS if attack in measured]
    gap = [GAP] if any(GAP in row.accuracies for row in rows) else []
    return [*known, *(attack for attack in measured if attack not in HEADERS), *gap]


def table_caption(rows: Sequence[EvaluationRow]) -> str:
    """What was attacked, how, and whether rows can be compared."""
    if not rows:
        return "No evaluation yet."
    images = sorted({count for row in rows for count in row.images})
    budgets = sorted({budget for row in rows for budget in row.budgets})
    lines = [f"Accuracies on the first {' or '.join(map(str, images))} test images, mean ± sample sd over trials."]
    if budgets:
        lines.append(f"AutoAttack: {' or '.join(budgets)}; gap: PGD-10 minus AutoAttack, per trial.")
    if len(images) > 1 or len(budgets) > 1:
        lines.append("Trials were evaluated differently: compare with care.")
    return " ".join(lines)


def _largest(record: TrialRecord, checkpoint: CheckpointName, autoattack: str) -> Evidence | None:
    return record.evaluation(checkpoint, autoattack) or record.evaluation(checkpoint, "clean")


def _budget(evidence: Evidence, autoattack: str) -> str | None:
    for m in evidence.measurements:
        if m.attack == autoattack:
            return f"{m.steps} steps, {m.restarts} restarts, {m.queries} queries, seed {m.seed}, {m.library}"
    return None


def _outcome(record: TrialRecord) -> str:
    return record.verdict.outcome if record.verdict else "running"


def _accuracies(evaluations: Sequence[Evidence], autoattack: str) -> dict[str, MeanStd]:
    values: dict[str, list[float]] = {}
    for evidence in evaluations:
        found = {measured.attack: measured.accuracy for measured in evidence.measurements}
        for attack, accuracy in found.items():
            if attack not in AUTOATTACKS or attack == autoattack:
                values.setdefault(attack, []).append(accuracy)
        if autoattack in found:
            values.setdefault(GAP, []).append(found["pgd-10"] - found[autoattack])
    return {attack: MeanStd.of(known) for attack, known in values.items()}
