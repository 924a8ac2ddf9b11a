"""The comparison of regular, unstable and fixed trials as text, and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from analysis.questions.healing import VALUES, HealingComparison
from analysis.report.format import NOTHING
from analysis.report.grid import describe

HEADERS = {"clean": "Clean", "pgd-10": "PGD-10", "square": "Square", "autoattack": "AutoAttack", "gap": "Gap"}


def healing_tables(comparisons: Sequence[HealingComparison]) -> RenderableType:
    """One table per cell: groups at their checkpoints, then the differences within pairs."""
    return Group(*map(_table, comparisons))


def healing_lines(comparison: HealingComparison) -> list[list[str]]:
    """Header, a line per group and checkpoint, and the mean differences within pairs with their intervals."""
    names = [name for name in VALUES if any(name in row.values for row in comparison.rows)]
    lines = [["trials", "checkpoint", "unstable", *(HEADERS.get(name, name.upper()) for name in names)]]
    for row in comparison.rows:
        spreads = [str(row.values[name]) if name in row.values else NOTHING for name in names]
        lines.append([row.group, row.checkpoint, f"{row.unstable}/{row.trials}", *spreads])
    paired = {difference.value: difference for difference in comparison.paired}
    if paired:
        differences = []
        for name in names:
            found = paired.get(name)
            ends = f" {found.ends[0]:+.4f} to {found.ends[1]:+.4f}" if found and found.ends else ""
            differences.append(f"{found.mean:+.4f}{ends}" if found else NOTHING)
        pairs = max(len(difference.seeds) for difference in paired.values())
        lines.append(["fixed - unstable", "gated - selected", f"{pairs} pairs", *differences])
    return lines


def healing_caption(comparison: HealingComparison) -> str:
    """Where the numbers are from, and what must be known to read them."""
    gap = "AutoAttack" if comparison.source == "evaluation" else "Square"
    source = "of later evaluations" if comparison.source == "evaluation" else "of the verdicts"
    lines = [
        f"Test accuracies {source}, mean ± sample sd; gap: PGD-10 minus {gap}; FOSC on validation images. "
        f"Differences: pairs of one seed, {100 * comparison.level:g} % interval of the mean (Student's t)."
    ]
    if not any(row.group == "regular" for row in comparison.rows):
        lines.append("No regular trials: none of the setting ended stable.")
    if comparison.ungated:
        lines.append(f"{comparison.ungated} fixed trials have no gated checkpoint: no epoch was under the threshold.")
    if comparison.stopped:
        lines.append(f"{comparison.stopped} unstable trials were stopped early: their last epoch is the alarm's.")
    return " ".join(lines)


def _table(comparison: HealingComparison) -> Table:
    table = Table(
        title=describe(comparison.factors) or None,
        title_justify="left",
        caption=healing_caption(comparison),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    header, *lines = healing_lines(comparison)
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index < 2 else "right")
    for line in lines:
        if line[2].endswith("pairs"):
            table.add_section()
        table.add_row(*map(_folded, line[:2]), line[2], *map(_folded, line[3:]))
    return table


def _folded(text: str) -> str:
    """With breaks where a narrow column should have them."""
    if " to " in text:
        return text.replace(" to ", " to\n").replace(" ", "\n", 1)
    return text.replace(" - ", " -\n").replace(" ± ", "\n± ")
