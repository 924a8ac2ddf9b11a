"""Values, rates, intervals and times as text."""

from __future__ import annotations

from analysis.questions.rates import CellRate
from analysis.statistics.intervals import Interval
from analysis.statistics.means import MeanStd
from core.config import Passes
from core.config.naming import format_value

PASSES = (
    "Passes: gradient passes of a training batch, each a forward with its backward (PGD with K steps: K + 1), and F, "
    "forwards without a backward. x clean: operations of training in those of training without an attack."
)
"""Explanation of `format_passes` and of the multiple of clean training."""
NOTHING = format_value(None)
"""Text of a table entry without a number."""


def format_passes(passes: Passes | None) -> str:
    """Gradient passes, and forwards without a backward: ``11``, ``12 + 1 F``."""
    if passes is None:
        return NOTHING
    lone = f" + {passes.lone_forwards:.3g} F" if passes.lone_forwards else ""
    return f"{passes.gradient_passes:.3g}{lone}"


def time_unit(seconds: float) -> tuple[str, int]:
    """The unit in which `seconds` is a short number, and the unit's length in seconds: ``("min", 60)``."""
    return ("s", 1) if seconds < 120 else ("min", 60) if seconds < 2 * 3600 else ("h", 3600)


def format_seconds(seconds: float) -> str:
    """A time in the unit in which it is a short number: ``48 s``, ``12.5 min``, ``3.1 h``."""
    unit, length = time_unit(seconds)
    return f"{seconds:.0f} s" if unit == "s" else f"{seconds / length:.1f} {unit}"


def format_ends(interval: Interval) -> str:
    """The ends of an interval in percent: ``40–89``."""
    return f"{100 * interval.low:.0f}–{100 * interval.high:.0f}"


def format_rate(rate: float | None, interval: Interval) -> str:
    """A rate in percent with its interval: ``70 % [40–89]``; a dash stands for a rate that is not known yet."""
    estimate = NOTHING if rate is None else f"{100 * rate:.0f} %"
    return f"{estimate} [{format_ends(interval)}]"


def format_count(cell: CellRate) -> str:
    """The trials with the label, of all counted ones: ``3/10``; ``3–5/10`` if the label of two trials is not known."""
    most = f"–{cell.unstable + cell.unknown}" if cell.unknown else ""
    return f"{cell.unstable}{most}/{cell.trials}"


def format_censored(cell: CellRate) -> str:
    """Number of censored trials, and the rates in percent if none and if all of them had the label: ``2 (30–50)``."""
    bounds = cell.censoring_bounds
    if not cell.censored or bounds is None:
        return NOTHING
    return f"{cell.censored} ({100 * bounds[0]:.0f}–{100 * bounds[1]:.0f})"


def format_gap(cell: CellRate) -> str:
    """PGD minus AutoAttack accuracy in points: ``14.7 ± 4.6``; with the number of trials, ``(7)``, if it is not all."""
    gap = cell.autoattack_gap
    if gap is None:
        return NOTHING
    return format_mean(gap) + (f" ({gap.trials})" if gap.trials < cell.trials else "")


def format_percent(value: float | None) -> str:
    """A share in [0, 1] in percent, with one decimal and without a sign: ``27.3``."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def format_mean(mean: MeanStd | None, sign: str = "") -> str:
    """A mean share with its standard deviation in percent; with ``sign="+"`` positive numbers have a sign, too."""
    if mean is None:
        return NOTHING
    deviation = "" if mean.deviation is None else f" ± {100 * mean.deviation:.1f}"
    return f"{100 * mean.mean:{sign}.1f}{deviation}"
