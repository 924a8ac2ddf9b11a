"""What a sweep says, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.rates import CellRate
from analysis.report.format import format_interval
from analysis.report.grid import describe, distinct_factors

NOUNS = {
    "any": "unstable at their end",
    "overestimation": "overestimated by PGD-10 at their end",
    "onset": "with a FOSC alarm",
    "catastrophic": "catastrophically overfitted at their end",
    "ever": "unstable at any time",
}


def answer_sentence(cells: Sequence[CellRate]) -> str:
    """The rate of the only cell, or the lowest and the highest of several and how many are decided against 50 %."""
    counted = [cell for cell in cells if cell.trials]
    running = sum(cell.running for cell in cells)
    if not counted:
        return f"No trial counts yet: {running} running, {sum(c.censored for c in cells)} censored."
    still = [f"{running} trials still running"] if running else []
    still += ["others waiting" if running else "trials waiting"] if any(cell.waiting for cell in cells) else []
    so_far = f"So far, with {' and '.join(still)}: " if still else ""
    return so_far + (_one(counted[0]) if len(cells) == 1 else _many(cells, counted))


def _one(cell: CellRate) -> str:
    level = f"{100 * cell.interval.level:g} % interval"
    return f"{cell.unstable} of {cell.trials} trials were {NOUNS[cell.label]}: {_rate(cell)} ({level} {_range(cell)})."


def _many(cells: Sequence[CellRate], counted: Sequence[CellRate]) -> str:
    level = f"{100 * cells[0].interval.level:g} % interval"
    names = distinct_factors(cells)
    low, high = (pick(counted, key=_order) for pick in (min, max))

    def place(cell: CellRate) -> str:
        return (
            f"{_rate(cell)} ({cell.unstable} of {cell.trials}; {_range(cell)}) "
            f"at {describe({name: cell.factors[name] for name in names})}"
        )

    above = sum(cell.interval.low > 0.5 for cell in counted)
    below = sum(cell.interval.high < 0.5 for cell in counted)
    total = sum(cell.unstable for cell in counted)
    return (
        f"{total} of {sum(cell.trials for cell in counted)} trials were {NOUNS[low.label]}; "
        f"the rate goes from {place(low)} to {place(high)}. "
        f"Going by the {level}s, the rate is above 50 % in {above} of {len(cells)} cells, below it in {below}, "
        f"and undecided in {len(cells) - above - below}."
    )


def _order(cell: CellRate) -> tuple[float, float]:
    return cell.rate or 0.0, cell.interval.low + cell.interval.high


def _rate(cell: CellRate) -> str:
    return f"{100 * (cell.rate or 0):.0f} %"


def _range(cell: CellRate) -> str:
    return f"{format_interval(cell)} %"
