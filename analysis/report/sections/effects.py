"""The effects of the swept options on the rate."""

from __future__ import annotations

from analysis.questions.countable_trials import is_adaptive
from analysis.questions.effects import Effect, factor_effects, pairwise_tests
from analysis.report.context import ReportContext
from analysis.report.figures.effects import forest
from analysis.report.formatting import NOTHING
from analysis.report.sections.base import Section, picture
from analysis.report.tables.text_table import TextTable

MAX_PAIRS = 8
"""Largest number of pairs of cells in the table; they are those with the smallest p-values."""


def effect_sections(context: ReportContext) -> list[Section]:
    """One section: odds ratios of the swept options as a picture and a table, and exact tests between cells."""
    found = factor_effects(context.counted, context.label, context.level)
    tables = []
    if found.effects:
        level = f"{100 * context.level:g} % interval"
        header = ("option", "contrast", "odds ratio", level, "p", "p (Holm)", "change of rate")
        caption = "Change of rate: mean over all trials, from the lowest to the highest value in the sweep."
        tables.append(TextTable(header, [_effect_row(effect) for effect in found.effects], 2, caption))
    if pairs := _pairs(context):
        tables.append(pairs)
    height = 0.8 + 0.45 * len(found.effects)
    notes = [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    return [
        Section(
            "effects",
            "Effects of options",
            f"Firth's penalised logistic regression over {found.trials} trials: the change of the odds of the label "
            "with one option while the others stay the same. An effect is an average over the cells of this sweep, "
            "without interactions."
            if found.effects
            else "No effect can be estimated from this sweep yet.",
            [picture(forest(found.effects), "Odds ratios of the swept options", height=height)]
            if found.effects
            else [],
            tables,
            " ".join(notes),
        )
    ]


def _effect_row(effect: Effect) -> list[str]:
    odds_ratio, ends = f"{effect.odds_ratio:.2g}", f"{effect.low:.2g} – {effect.high:.2g}"
    if effect.separated:  # the data bound it on one side only
        ends = f"> {effect.low:.2g}" if effect.odds_ratio > 1 else f"< {effect.high:.2g}"
        odds_ratio = NOTHING
    return [
        effect.factor,
        effect.contrast,
        odds_ratio,
        ends,
        f"{effect.p_value:.2g}",
        f"{effect.adjusted:.2g}",
        f"{100 * effect.average_change:+.0f} points",
    ]


def _pairs(context: ReportContext) -> TextTable | None:
    tests = pairwise_tests(context.counted, context.label, context.level)
    if not tests:
        return None
    different = sum(test.adjusted < 0.05 for test in tests)
    names = context.cell_names
    rows = [
        [
            *(names[cell] for cell in test.cells),
            *(f"{k}/{n}" for k, n in test.counts),
            f"{100 * test.difference[0]:+.0f} to {100 * test.difference[1]:+.0f}",
            f"{test.adjusted:.2g}",
        ]
        for test in sorted(tests, key=lambda test: test.p_value)[:MAX_PAIRS]
    ]
    caption = f"Boschloo's exact test: {different} of {len(tests)} pairs of cells differ at 5 % after Holm's correction"
    caption += f"; the {MAX_PAIRS} smallest p-values." if len(tests) > MAX_PAIRS else "."
    caption += f" Difference: points, {100 * context.level:g} % melded interval of each pair." + _flaw(context)
    return TextTable(("cell", "compared with", "unstable", "unstable", "difference", "p (Holm)"), rows, 2, caption)


def _flaw(context: ReportContext) -> str:
    """What the tests and intervals do not allow for in this sweep."""
    if context.interval == "clustered":
        return " Trials that share a pinned seed are treated as independent: equal cells are rejected too often."
    if is_adaptive(context.records):
        return " The numbers of trials depended on results, for which neither allows."
    return ""
