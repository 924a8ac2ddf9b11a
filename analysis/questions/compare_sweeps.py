"""Two sweeps side by side: the rates of the cells that both have, and what tells the sweeps apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis.questions.compare_counts import TOO_FEW_SEEDS, can_conclude, different, equivalent
from analysis.questions.effects import exact_test
from analysis.questions.rates import CellRate
from analysis.statistics.multiple_testing import holm
from analysis.statistics.rate_difference import difference_ends
from core.config.naming import naming_options

Options = Mapping[str, Any]
Conclusion = Literal["equivalent", "different", "undecided", "too few seeds", "not comparable"]
CONCLUSIONS: dict[Conclusion, str] = {
    "equivalent": "a test of equivalence finds the difference within the margin",
    "different": "evidence that the rates differ",
    "undecided": "neither a difference nor equivalence within the margin was found",
    "too few seeds": TOO_FEW_SEEDS,
    "not comparable": "no trial counts yet, or stopped trials hide how they would have ended",
}
"""The meaning of each conclusion."""


@dataclass(frozen=True)
class CellPair:
    """A cell of one sweep and its counterpart in the other one."""

    factors: dict[str, Any]
    """The values of the options by which cells of the two sweeps are matched."""
    here: CellRate
    there: CellRate
    changed: dict[str, tuple[Any, Any]]
    """Options with another value there: (here, there)."""
    difference: tuple[float, float] | None
    """Ends of the interval of the rate here minus the rate there; None if it is not comparable."""
    p_value: float
    """Exact test of equal rates, with Holm's correction over all pairs."""
    conclusion: Conclusion


@dataclass(frozen=True)
class SweepComparison:
    """The matching cells of two sweeps, and the cells without a counterpart."""

    matched_by: list[str]
    """Options by which cells are matched: those that vary in either sweep."""
    pairs: list[CellPair]
    only_here: list[CellRate]
    only_there: list[CellRate]


def compare_sweeps(
    here: Sequence[CellRate],
    there: Sequence[CellRate],
    cells_here: Mapping[str, Options],
    cells_there: Mapping[str, Options],
    level: float = 0.95,
) -> SweepComparison:
    """The cells of two sweeps in pairs, with the interval of each difference and its conclusion.

    Two cells match if they agree in the options that vary in either sweep. Options that are constant in both sweeps may
    differ: they are what the comparison is about. The interval of a difference is melded and the test is Boschloo's
    or Fisher's (see `exact_test`). All assume independent trials, and numbers of trials that were fixed in advance.

    Args:
        here: the rates of the first sweep.
        there: the rates of the second sweep, of the same label.
        cells_here: all options of each cell of the first sweep, by the cell's id.
        cells_there: all options of each cell of the second sweep.
        level: coverage of each interval; equivalence is tested at 1 - level.
    """
    names = list(dict.fromkeys([*naming_options([*cells_here.values()]), *naming_options([*cells_there.values()])]))
    found = {_place(cells_there[rate.cell_id], names): rate for rate in there}
    matched = [(rate, found.pop(_place(cells_here[rate.cell_id], names), None)) for rate in here]
    both = [(rate, other) for rate, other in matched if other]
    tested = [pair for pair in both if _comparable(*pair)]
    p_values = [exact_test((a.unstable, a.trials), (b.unstable, b.trials)) for a, b in tested]
    adjusted = {a.cell_id: p for (a, _), p in zip(tested, holm(p_values), strict=True)}
    pairs = [
        CellPair(
            factors={name: cells_here[a.cell_id].get(name) for name in names},
            here=a,
            there=b,
            changed=_changed(cells_here[a.cell_id], cells_there[b.cell_id]),
            difference=difference_ends((a.unstable, a.trials), (b.unstable, b.trials), level)
            if a.cell_id in adjusted
            else None,
            p_value=adjusted.get(a.cell_id, 1.0),
            conclusion=_conclude(a, b, level),
        )
        for a, b in both
    ]
    return SweepComparison(names, pairs, [rate for rate, other in matched if other is None], list(found.values()))


def _place(cell: Options, names: Sequence[str]) -> str:
    return json.dumps([_plain(cell.get(name)) for name in names])


def _plain(value: Any) -> Any:
    """A value that is equal for 1 and 1.0."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _changed(here: Options, there: Options) -> dict[str, tuple[Any, Any]]:
    return {
        name: (here.get(name), there.get(name))
        for name in dict.fromkeys([*here, *there])
        if _plain(here.get(name)) != _plain(there.get(name))
    }


def _comparable(here: CellRate, there: CellRate) -> bool:
    return all(rate.trials and not rate.unknown for rate in (here, there))


def _conclude(here: CellRate, there: CellRate, level: float) -> Conclusion:
    if not _comparable(here, there):
        return "not comparable"
    one, other = (here.unstable, here.trials), (there.unstable, there.trials)
    if equivalent(one, other, level):
        return "equivalent"
    if different(one, other, level):
        return "different"
    return "undecided" if can_conclude(here.trials, other, level) else "too few seeds"
