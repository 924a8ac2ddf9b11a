"""The effects of the swept options on the rate."""

from __future__ import annotations

from analysis.questions.countable_trials import is_adaptive
from analysis.questions.effects import Effect, Effects, factor_effects
from analysis.report.context import ReportContext
from analysis.report.figures.effects import forest
from analysis.report.formatting import NOTHING
from analysis.report.sections.base import Section, picture
from analysis.report.tables.text_table import TextTable


def effect_sections(context: ReportContext) -> list[Section]:
    """One section: odds ratios of the swept options as a picture and a table, and their interactions."""
    found = factor_effects(context.counted, context.label, context.level)
    tables = []
    if found.effects:
        level = f"{100 * context.level:g} % interval"
        header = ("option", "contrast", "odds ratio", level, "p", "p (Holm)", "change of rate")
        caption = "Change of rate: mean over all trials, from the lowest to the highest value in the sweep."
        tables.append(TextTable(header, [_effect_row(effect) for effect in found.effects], 2, caption))
    if interactions := _interactions(found):
        tables.append(interactions)
    height = 0.8 + 0.45 * len(found.effects)
    notes = [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    return [
        Section(
            "effects",
            "Effects of options",
            f"Firth's penalised logistic regression over {found.trials} trials: the change of the odds of the label "
            "with one option while the others stay the same. An effect is an average over the cells of this sweep."
            + _design(context, found)
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


def _interactions(found: Effects) -> TextTable | None:
    if not found.interactions:
        return None
    rows = [
        [
            " x ".join(one.factors),
            " x ".join(one.contrasts),
            f"{one.ratio:.2g}",
            f"{one.low:.2g} – {one.high:.2g}",
            f"{one.p_value:.2g}",
            f"{one.adjusted:.2g}",
        ]
        for one in found.interactions
    ]
    different = sum(one.adjusted < 0.05 for one in found.interactions)
    caption = (
        f"Interactions, each in a model with all main effects: {different} of {len(rows)} at 5 % after Holm's "
        "correction. Ratio: factor by which the odds ratio of one option changes with a step of the other."
    )
    if different:
        caption += " With an interaction, the effect of an option in the table above holds for no single cell."
    header = ("options", "contrasts", "ratio", f"{100 * found.level:g} % interval", "p", "p (Holm)")
    return TextTable(header, rows, 2, caption)


def _design(context: ReportContext, found: Effects) -> str:
    """How intervals and tests of the main effects allow for the design."""
    if found.groups is not None:
        enough = "" if found.groups > 2 else ", which needs at least three"
        return f" Intervals and tests allow for the {found.groups} groups of pinned seeds by a jackknife{enough}."
    if is_adaptive(context.records):
        return (
            " The numbers of trials depended on results. Intervals from the likelihood change little by it, but are "
            "not exact: where it matters, use the differences between cells below."
        )
    return ""
