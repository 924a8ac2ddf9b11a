"""How values of a report are written."""

from __future__ import annotations

from typing import Any

from analysis.questions.rates import CellRate

NOTHING = "–"
"""Where there is no number."""


def format_value(value: Any) -> str:
    """An option's value as a person writes it: ``8/255`` stays a short decimal, lists lose their brackets."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: NOTHING}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " ".join(format_value(v) for v in value) or NOTHING
    return str(value)


def time_unit(seconds: float) -> tuple[str, int]:
    """The unit that keeps `seconds` short, and its length in seconds: ``("min", 60)``."""
    return ("s", 1) if seconds < 120 else ("min", 60) if seconds < 2 * 3600 else ("h", 3600)


def format_seconds(seconds: float) -> str:
    """Device time in the unit that keeps it short: ``48 s``, ``12.5 min``, ``3.1 h``."""
    unit, length = time_unit(seconds)
    return f"{seconds:.0f} s" if unit == "s" else f"{seconds / length:.1f} {unit}"


def format_interval(cell: CellRate) -> str:
    """Ends of the interval in percent: ``40–89``."""
    return f"{100 * cell.interval.low:.0f}–{100 * cell.interval.high:.0f}"


def format_rate(cell: CellRate) -> str:
    """Rate in percent and its interval: ``70 % [40–89]``, without a rate where no trial counts yet."""
    rate = NOTHING if cell.rate is None else f"{100 * cell.rate:.0f} %"
    return f"{rate} [{format_interval(cell)}]"


def format_gap(cell: CellRate) -> str:
    """PGD-10 minus AutoAttack in points: ``14.7 ± 4.6``, and how many trials it is of, if that's not all: ``(7)``."""
    gap = cell.autoattack_gap
    if gap is None:
        return NOTHING
    deviation = "" if gap.deviation is None else f" ± {100 * gap.deviation:.1f}"
    return f"{100 * gap.mean:.1f}{deviation}" + (f" ({gap.trials})" if gap.trials < cell.trials else "")


def format_percent(value: float | None) -> str:
    """A share in [0, 1] in percent, with one decimal and no sign: ``27.3``."""
    return NOTHING if value is None else f"{100 * value:.1f}"
