"""The comparison of regular, unstable and fixed trials of one cell, as the paper's Table 3 makes it."""

from __future__ import annotations

from analysis.questions.healing import VALUES, HealingComparison
from analysis.report.attack_names import attack_name
from analysis.report.formatting import NOTHING
from analysis.report.tables.text_table import TextTable
from core.config.naming import describe


def healing_table(comparison: HealingComparison) -> TextTable:
    """A column for each group and checkpoint and one for the differences within pairs; a row for each value."""
    names = [name for name in VALUES if any(name in row.values for row in comparison.rows)]
    columns = [["trials", "checkpoint", "unstable", *(_value_name(comparison, name) for name in names)]]
    for row in comparison.rows:
        means = [str(row.values[name]) if name in row.values else NOTHING for name in names]
        columns.append([row.group, row.checkpoint, f"{row.unstable}/{row.trials}", *means])
    paired = {difference.value: difference for difference in comparison.paired}
    if paired:
        differences = []
        for name in names:
            found = paired.get(name)
            ends = f" [{found.ends[0]:+.4f}, {found.ends[1]:+.4f}]" if found and found.ends else ""
            differences.append(f"{found.mean:+.4f}{ends}" if found else NOTHING)
        pairs = max(len(difference.seeds) for difference in paired.values())
        columns.append(["fixed − unstable", "gated − selected", f"{pairs} pair{'s' * (pairs > 1)}", *differences])
    header, *rows = (list(row) for row in zip(*columns, strict=True))
    return TextTable(header, rows, 1, _caption(comparison))


def _value_name(comparison: HealingComparison, value: str) -> str:
    if value in ("gap", "fosc"):
        return {"gap": "Gap", "fosc": "FOSC"}[value]
    return "/".join(dict.fromkeys(map(attack_name, comparison.labels.get(value, (value,)))))


def _caption(comparison: HealingComparison) -> str:
    """The cell, the source of the numbers, and what limits the comparison."""
    cell = f"{describe(comparison.factors)}. " if comparison.factors else ""
    attack = "AutoAttack" if comparison.source == "evaluation" else "Square"
    source = "later evaluations" if comparison.source == "evaluation" else "the verdicts"
    lines = [
        f"{cell}Test accuracies from {source}, mean ± sample sd. Gap: {_value_name(comparison, 'pgd-10')} minus "
        f"{attack}. FOSC: on validation images. Differences: within pairs of one seed, with the "
        f"{100 * comparison.level:g} % interval of their mean (Student's t)."
    ]
    if not any(row.group == "regular" for row in comparison.rows):
        lines.append("There are no regular trials, because no trial of this setting ended stable.")
    if comparison.ungated:
        lines.append(
            f"{comparison.ungated} fixed trials have no gated checkpoint, because FOSC was above the threshold in "
            "every epoch."
        )
    if comparison.stopped:
        lines.append(f"{comparison.stopped} unstable trials were stopped early: their last epoch is that of the alarm.")
    return " ".join(lines)
