"""The comparison of regular, unstable and fixed trials of one cell, as the paper's Table 3 makes it."""

from __future__ import annotations

from analysis.questions.healing import VALUES, HealingComparison
from analysis.report.attack_names import attack_name
from analysis.report.formatting import NOTHING, format_rate
from analysis.report.tables.text_table import TextTable
from core.config.naming import describe
from core.quantity import quantity


def healing_table(comparison: HealingComparison) -> TextTable:
    """A column for each group and checkpoint and one for the differences within pairs; a row for each value."""
    names = [name for name in VALUES if any(name in row.values for row in comparison.rows)]
    columns = [["trials", "checkpoint", "unstable", *(_value_name(comparison, name) for name in names)]]
    for row in comparison.rows:
        means = [str(row.values[name]) if name in row.values else NOTHING for name in names]
        columns.append([row.group, row.checkpoint, f"{row.unstable}/{row.trials}", *means])
    paired = {difference.value: difference for difference in comparison.paired}
    if paired:
        found = [paired.get(name) for name in names]
        means = [f"{difference.mean:+.4f}{_ends(difference.ends)}" if difference else NOTHING for difference in found]
        normal = [_ends(difference.normal_ends).strip() or NOTHING if difference else NOTHING for difference in found]
        pairs = quantity(max(len(difference.seeds) for difference in paired.values()), "pair")
        columns.append([f"{comparison.arm} − unstable", "gated − selected", pairs, *means])
        columns.append(["if normal", "gated − selected", NOTHING, *normal])
    header, *rows = (list(row) for row in zip(*columns, strict=True))
    return TextTable(header, rows, 1, _caption(comparison))


def recovery_sentence(comparison: HealingComparison) -> str:
    """How many trials recovered, beside the placebo arm."""
    found, level = comparison.recovered, f"{100 * comparison.level:g} %"
    what = "trained again with rounding errors only (placebo)" if comparison.arm == "placebo" else "healed"
    text = f"Of {found.n} unstable trials that were {what}, {found.k} are not unstable at their end"
    text += f" ({format_rate(found.rate, found.interval)}, {level} interval)."
    if comparison.arm == "placebo":
        return text
    if (against := comparison.placebo) is None:
        return f"{text} How many would have recovered by rounding alone is not known: add --heal placebo to the sweep."
    low, high = (f"{100 * end:+.0f}" for end in against.ends)
    return (
        f"{text} Healing minus placebo over {quantity(against.seeds, 'pair')} of one seed: "
        f"{100 * against.difference:+.0f} points [{low} to {high}] ({against.only_healed} recovered only by healing, "
        f"{against.only_placebo} only by the placebo; exact interval for pairs)."
    )


def _ends(ends: tuple[float, float] | None) -> str:
    return f" [{ends[0]:+.4f}, {ends[1]:+.4f}]" if ends else ""


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
        f"{100 * comparison.level:g} % interval of their mean for any distribution. If normal: Student's t, which "
        "covers less where only some seeds recover.",
        recovery_sentence(comparison),
    ]
    if not any(row.group == "regular" for row in comparison.rows):
        lines.append("There are no regular trials, because no trial of this setting ended stable.")
    if comparison.ungated:
        lines.append(
            f"{comparison.ungated} {comparison.arm} trials have no gated checkpoint, because FOSC was above "
            "the threshold in every epoch."
        )
    if comparison.untouched:
        lines.append(
            f"In {comparison.untouched} of {comparison.recovered.n} {comparison.arm} trials healing did nothing, "
            "because FOSC was never above the threshold before the last epoch."
        )
    if comparison.stopped:
        lines.append(f"{comparison.stopped} unstable trials were stopped early: their last epoch is that of the alarm.")
    return " ".join(lines)
