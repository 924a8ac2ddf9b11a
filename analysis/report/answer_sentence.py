"""The answer of a sweep in one or two sentences."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.rates import CellRate
from analysis.report.attack_names import attack_name
from analysis.report.facets import distinct_factors
from analysis.report.formatting import format_ends
from analysis.report.tables.cells_table import measured_label
from core.config.naming import describe
from core.quantity import quantity

PREDICATES = {
    "any": "unstable at their end",
    "overestimation": "overestimated by {pgd} at their end",
    "onset": "with an alarm of their detector",
    "catastrophic": "catastrophically overfitted at their end",
    "ever": "unstable at any time",
}
"""What is said of the trials for which the label holds."""


def answer_sentence(cells: Sequence[CellRate], decisions: str = "", together: Sequence[CellRate] = ()) -> str:
    """The rate of the only cell, or the lowest and the highest rate and how many intervals lie on one side of 50 %.

    The cells with the extreme rates are named because of their results, and an interval of one cell does not allow for
    this choice. With several cells the sentence should therefore be given intervals that hold for all of them together.

    Args:
        cells: the rates.
        decisions: sentence of what the sweep itself decided, which is said instead of a comparison with 50 %.
        together: the same cells with intervals that hold together at the level of those in `cells`; default: `cells`.
    """
    counted = [cell for cell in cells if cell.trials]
    running = sum(cell.running for cell in cells)
    if not counted:
        return f"No trial counts yet: {running} running, {sum(c.censored for c in cells)} censored."
    still = [f"{quantity(running, 'trial')} still running"] if running else []
    still += ["others waiting" if running else "trials waiting"] if any(cell.waiting for cell in cells) else []
    so_far = f"So far, with {' and '.join(still)}: " if still else ""
    predicate = PREDICATES[counted[0].label].format(pgd=attack_name(measured_label(cells, "pgd-10")))
    return so_far + (
        _one(counted[0], predicate) if len(cells) == 1 else _several(cells, predicate, decisions, together or cells)
    )


def _one(cell: CellRate, predicate: str) -> str:
    level = f"{100 * cell.interval.level:g} % interval"
    return f"{cell.unstable} of {cell.trials} trials were {predicate}: {_rate(cell)} ({level} {_ends(cell)})."


def _several(cells: Sequence[CellRate], predicate: str, decisions: str, together: Sequence[CellRate]) -> str:
    names = distinct_factors(cells)
    counted = [cell for cell in together if cell.trials]
    low, high = (pick(counted, key=_order) for pick in (min, max))

    def place(cell: CellRate) -> str:
        return (
            f"{_rate(cell)} ({cell.unstable} of {cell.trials}; {_ends(cell)}) "
            f"at {describe({name: cell.factors[name] for name in names})}"
        )

    total = sum(cell.unstable for cell in counted)
    span = f"the rate goes from {place(low)} to {place(high)}"
    if low.rate == high.rate:
        span = f"the rate is {_rate(low)} in every cell"
    trials = sum(cell.trials for cell in counted)
    decided = decisions or _decided(together, cells[0].interval.level)
    return f"{total} of {trials} trials were {predicate}; {span}. {decided}"


def _decided(cells: Sequence[CellRate], level: float) -> str:
    """How many cells have a rate above or below 50 % by intervals that hold together at this level."""
    above = sum(cell.interval.low > 0.5 for cell in cells)
    below = sum(cell.interval.high < 0.5 for cell in cells)
    open_cells = len(cells) - above - below
    if open_cells == len(cells):
        return f"The interval of every cell contains 50 % (all intervals of this sentence together: {100 * level:g} %)."
    counts = {"above 50 %": above, "below 50 %": below, "undecided": open_cells}
    found = [f"{side} in {count}" for side, count in counts.items() if count]
    listed = f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else found[0]
    return (
        f"By intervals that hold together at {100 * level:g} %, as all of this sentence, the rate is {listed} of "
        f"{len(cells)} cells."
    )


def _order(cell: CellRate) -> tuple[float, float]:
    return cell.rate or 0.0, cell.interval.low + cell.interval.high


def _rate(cell: CellRate) -> str:
    return f"{100 * (cell.rate or 0):.0f} %"


def _ends(cell: CellRate) -> str:
    return f"{format_ends(cell.interval)} %"
