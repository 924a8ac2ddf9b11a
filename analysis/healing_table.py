"""The comparison of regular, unstable and fixed trials for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from analysis.healing import VALUES, HealingComparison
from analysis.report.format import NOTHING
from analysis.report.grid import describe

HEADERS = {"clean": "Clean", "pgd-10": "PGD-10", "square": "Square", "autoattack": "AutoAttack", "gap": "Gap"}


def healing_tables(comparisons: Sequence[HealingComparison]) -> RenderableType:
    """One table per cell: groups at their checkpoints, then the differences within pairs."""
    return Group(*map(_table, comparisons))


def _table(comparison: HealingComparison) -> Table:
    table = Table(
        title=describe(comparison.factors) or None,
        title_justify="left",
        caption=_caption(comparison),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    names = [name for name in VALUES if any(name in row.values for row in comparison.rows)]
    for header in ("trials", "checkpoint"):
        table.add_column(header)
    for header in ("unstable", *(HEADERS.get(name, name.upper()) for name in names)):
        table.add_column(header, justify="right")
    for row in comparison.rows:
        spreads = (row.values.get(name) for name in names)
        shown = [NOTHING if spread is None else str(spread).replace(" ± ", "\n± ") for spread in spreads]
        table.add_row(row.group, row.checkpoint, f"{row.unstable}/{row.trials}", *shown)
    paired = {difference.value: difference for difference in comparison.paired}
    if paired:
        table.add_section()
        cells = []
        for name in names:
            difference = paired.get(name)
            ends = (
                f"\n{difference.ends[0]:+.4f} to\n{difference.ends[1]:+.4f}" if difference and difference.ends else ""
            )
            cells.append(f"{difference.mean:+.4f}{ends}" if difference else NOTHING)
        pairs = max(len(difference.seeds) for difference in paired.values())
        table.add_row("fixed -\nunstable", "gated -\nselected", f"{pairs} pairs", *cells)
    return table


def _caption(comparison: HealingComparison) -> str:
    gap = "AutoAttack" if comparison.source == "evaluation" else "Square"
    source = "of later evaluations" if comparison.source == "evaluation" else "of the verdicts"
    lines = [
        f"Test accuracies {source}, mean ± sample sd; gap: PGD-10 minus {gap}; FOSC on validation images. "
        f"Differences: pairs of one seed, {100 * comparison.level:g} % interval of the mean (Student's t)."
    ]
    if comparison.ungated:
        lines.append(f"{comparison.ungated} fixed trials have no gated checkpoint: no epoch was under the threshold.")
    if comparison.stopped:
        lines.append(f"{comparison.stopped} unstable trials were stopped early: their last epoch is the alarm's.")
    return " ".join(lines)
