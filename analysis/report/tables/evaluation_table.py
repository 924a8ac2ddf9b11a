"""Robust accuracies of evaluated checkpoints, mean and standard deviation over trials, as the paper's tables show them.

Tables 1, 3, 5, 6 and 7 of the paper have these columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from analysis.questions.attack_labels import attack_labels
from analysis.questions.autoattack_gap import AUTOATTACKS
from analysis.questions.countable_trials import countable_trials
from analysis.questions.rates import group_by_cell, has_label, naming_factors, outcome
from analysis.report.attack_names import attack_name
from analysis.report.formatting import NOTHING
from analysis.report.tables.text_table import TextTable, markdown_table
from analysis.statistics.means import MeanStd
from core.config.naming import format_value, setting_name
from core.quantity import quantity
from core.records import CheckpointName, Evidence, TrialRecord

PAPER_ORDER = (
    *("clean", "pgd-10", "apgd-ce", "apgd-dlr", "fab", "square"),
    *("autoattack", "autoattack-standard", "autoattack-plus"),
)
"""Attacks in the order of the paper's columns."""
GAP = "Gap"


@dataclass(frozen=True)
class EvaluationRow:
    """Evaluated trials of one cell, or those of them with one outcome."""

    setting: str
    """The name of the cell where no option varies, see `setting_name`."""
    factors: dict[str, Any]
    outcome: str | None
    """None if the row has trials of all outcomes."""
    trials: int
    """Number of trials with an evaluation."""
    unstable: int
    images: tuple[int, ...]
    """Numbers of test images of the evaluations, ascending; one number unless evaluations differ."""
    budgets: tuple[str, ...]
    """Steps, restarts, queries, seed and library of AutoAttack; one text unless evaluations differ."""
    accuracies: dict[str, MeanStd]
    """By attack, in [0, 1]; `GAP` is a trial's PGD accuracy minus its AutoAttack accuracy."""
    labels: dict[str, tuple[str, ...]]
    """Each attack as it was run, by its key; one label unless evaluations differ."""


def evaluation_rows(
    records: Sequence[TrialRecord],
    checkpoint: CheckpointName = "selected",
    autoattack: str = "autoattack",
    by_outcome: bool = False,
) -> list[EvaluationRow]:
    """One row for each cell with evaluated trials, ordered by the options that vary.

    All accuracies of a trial come from its largest evaluation with ``autoattack`` or, without any, from its largest
    evaluation. The accuracies of a trial are thus measured on the same images.

    Args:
        records: trials of one sweep.
        checkpoint: checkpoint whose evaluations are shown.
        autoattack: kind of AutoAttack that the gap is measured to: ``autoattack``, ``autoattack-standard`` or
            ``autoattack-plus``.
        by_outcome: whether each outcome has a row of its own, as "Regular" and "Unstable" in Tables 1 and 3.
    """
    names = naming_factors(records)
    rows = []
    for group in group_by_cell(records).values():
        found = [(r, e) for r in group if (e := _largest(r, checkpoint, autoattack)) is not None]
        outcomes = sorted({outcome(r) for r, _ in found}) if by_outcome else [None] if found else []
        for shown in outcomes:
            chosen = [(r, e) for r, e in found if shown in (None, outcome(r))]
            rows.append(
                EvaluationRow(
                    setting=setting_name(group[0].cell),
                    factors={name: group[0].cell.get(name) for name in names},
                    outcome=shown,
                    trials=len(chosen),
                    unstable=sum(has_label(r, "any") is True for r, _ in chosen),
                    images=tuple(sorted({e.measurements[0].images for _, e in chosen})),
                    budgets=tuple(sorted({b for _, e in chosen if (b := _budget(e, autoattack))})),
                    accuracies=_accuracies([e for _, e in chosen], autoattack),
                    labels=attack_labels(m for _, e in chosen for m in e.measurements),
                )
            )
    return rows


def stored_evaluations_markdown(records: Sequence[TrialRecord]) -> str:
    """The tables of all evaluated checkpoints and kinds of AutoAttack in Markdown; empty without an evaluation.

    Args:
        records: trials of one sweep; the tables have only those that may be counted.
    """
    counted, _ = countable_trials(records)
    tables = []
    for checkpoint in get_args(CheckpointName):
        evaluations = [e for record in counted for e in record.evaluations if e.checkpoint == checkpoint]
        measured = {m.attack for evidence in evaluations for m in evidence.measurements}
        for mode in sorted(measured & set(AUTOATTACKS)) or (["autoattack"] if measured else []):
            table = evaluation_table(evaluation_rows(counted, checkpoint, mode))
            tables.append(f"## {checkpoint}, {mode}\n\n{markdown_table(table)}")
    return "\n".join(tables)


def evaluation_table(rows: Sequence[EvaluationRow]) -> TextTable:
    """The rows by the options that vary and, if rows have one, by outcome."""
    names, attacks = list(rows[0].factors) if rows else [], _attacks(rows)
    outcomes = any(row.outcome for row in rows)
    words = [*(names or ["cell"]), *(["outcome"] if outcomes else [])]
    lines = []
    for row in rows:
        cell = [format_value(row.factors[name]) for name in names] or [row.setting]
        cell += [row.outcome or NOTHING] if outcomes else []
        means = [str(row.accuracies[attack]) if attack in row.accuracies else NOTHING for attack in attacks]
        lines.append([*cell, f"{row.unstable}/{row.trials}", *means])
    header = [*words, "unstable / trials", *(_name(rows, attack) for attack in attacks)]
    return TextTable(header, lines, len(words), table_caption(rows))


def _name(rows: Sequence[EvaluationRow], attack: str) -> str:
    """The attack as it was run; all its forms if rows differ: ``PGD-10/PGD-20``."""
    labels = dict.fromkeys(label for row in rows for label in row.labels.get(attack, ()))
    return "/".join(dict.fromkeys(map(attack_name, labels))) or attack_name(attack)


def _attacks(rows: Sequence[EvaluationRow]) -> list[str]:
    """Columns of accuracies: those of the paper in its order, then further attacks, then the gap."""
    measured = dict.fromkeys(attack for row in rows for attack in row.accuracies if attack != GAP)
    known = [attack for attack in PAPER_ORDER if attack in measured]
    gap = [GAP] if any(GAP in row.accuracies for row in rows) else []
    return [*known, *(attack for attack in measured if attack not in PAPER_ORDER), *gap]


def table_caption(rows: Sequence[EvaluationRow]) -> str:
    """Images and budget of the attacks, and a warning if evaluations differ in them."""
    if not rows:
        return "No evaluation yet."
    images = sorted({count for row in rows for count in row.images})
    budgets = sorted({budget for row in rows for budget in row.budgets})
    lines = [f"Accuracies on the first {' or '.join(map(str, images))} test images, mean ± sample sd over trials."]
    if budgets:
        lines.append(f"AutoAttack: {' or '.join(budgets)}; gap: {_name(rows, 'pgd-10')} minus AutoAttack, per trial.")
    if len(images) > 1 or len(budgets) > 1:
        lines.append("Evaluations differ in images or budget: their accuracies cannot be compared directly.")
    return " ".join(lines)


def _largest(record: TrialRecord, checkpoint: CheckpointName, autoattack: str) -> Evidence | None:
    return record.evaluation(checkpoint, autoattack) or record.evaluation(checkpoint, "clean")


def _budget(evidence: Evidence, autoattack: str) -> str | None:
    for m in evidence.measurements:
        if m.attack == autoattack:
            restarts = quantity(m.restarts or 0, "restart")
            return f"{m.steps} steps, {restarts}, {m.queries} queries, seed {m.seed}, {m.library}"
    return None


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
