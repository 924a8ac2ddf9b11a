"""Which options matter."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.effects import Effect, PairTest, factor_effects, pairwise_tests
from analysis.questions.rates import CellRate, Label
from analysis.report.figures.effects import forest
from analysis.report.grid import describe, distinct_factors
from analysis.report.sections.base import Grid, Section, picture
from core.records import TrialRecord

CLOSEST = 8
"""Pairs of cells that are listed, those with the smallest p-values."""


def effect_section(records: Sequence[TrialRecord], cells: Sequence[CellRate], label: Label, level: float) -> Section:
    """Odds ratios of the swept options as a picture and a table, and exact tests between cells."""
    found = factor_effects(records, label, level)
    grids = []
    if found.effects:
        header = ("option", "contrast", "odds ratio", f"{100 * level:g} % interval", "p", "p (Holm)", "change of rate")
        caption = "change of rate: mean over all trials, from the lowest to the highest value in the sweep."
        grids.append(Grid(header, [_effect_row(effect) for effect in found.effects], 2, caption))
    tests = pairwise_tests(records, label) if len(cells) > 1 else []
    if tests:
        grids.append(_pairs(tests, cells))
    height = 0.8 + 0.45 * len(found.effects)
    return Section(
        "effects",
        "What matters",
        f"Firth's penalised logistic regression over {found.trials} trials: how the odds of the label change with one "
        "option while the others stay. Effects are averages over this sweep's cells, without interactions."
        if found.effects
        else "No effect can be estimated from this sweep yet.",
        [picture(forest(found.effects), "Odds ratios of the swept options", height=height)] if found.effects else [],
        grids,
        "; ".join(found.notes),
    )


def _effect_row(effect: Effect) -> list[str]:
    return [
        effect.factor,
        effect.contrast,
        f"{effect.odds_ratio:.2g}",
        f"{effect.low:.2g} – {effect.high:.2g}",
        f"{effect.p_value:.2g}",
        f"{effect.adjusted:.2g}",
        f"{100 * effect.average_change:+.0f} points",
    ]


def _pairs(tests: Sequence[PairTest], cells: Sequence[CellRate]) -> Grid:
    names = {cell.cell_id: describe({n: cell.factors[n] for n in distinct_factors(cells)}) for cell in cells}
    different = sum(test.adjusted < 0.05 for test in tests)
    shown = sorted(tests, key=lambda test: test.p_value)[:CLOSEST]
    rows = [
        [names[test.cells[0]], names[test.cells[1]], *(f"{k}/{n}" for k, n in test.counts), f"{test.adjusted:.2g}"]
        for test in shown
    ]
    caption = f"Boschloo's exact test: {different} of {len(tests)} pairs of cells differ at 5 % after Holm's correction"
    caption += f"; the {CLOSEST} clearest." if len(tests) > CLOSEST else "."
    return Grid(("cell", "against", "unstable", "unstable", "p (Holm)"), rows, 2, caption)
