"""An interval for a rate whose trials come in groups, such as trials that share a pinned seed."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.statistics.intervals import Interval, confidence_sequence

CLUSTERED = ("clustered", "clustered-anytime")
"""The kinds of intervals for groups."""


def of_groups(kind: str, groups: Sequence[tuple[int, int]], level: float = 0.95) -> Interval:
    """The interval of a kind in `CLUSTERED`."""
    return clustered(groups, level) if kind == "clustered" else clustered_anytime(groups, level)


def clustered(groups: Sequence[tuple[int, int]], level: float = 0.95) -> Interval:
    """Interval of Korn and Graubard (1998) for a rate, with groups drawn at random.

    It is Clopper and Pearson's interval for the effective number of independent trials, which is estimated from the
    variance between groups and corrected for the small number of groups. The effective number is at least
    ``n^2 / sum of m^2`` (m: sizes of the groups), its value for groups that always agree, and at most n, the number of
    trials. If no trial or every trial is a hit, or there is a single group, it is the least one.

    Args:
        groups: (k, m) of each group: k hits of m trials; groups without trials are ignored.
        level: coverage of the interval, in (0, 1).
    """
    counted = [(k, m) for k, m in groups if m]
    if not counted:
        return Interval(0.0, 1.0, level, "clustered")
    # imported here, because scipy takes longer to import than a status takes to print
    from scipy.stats import beta
    from scipy.stats import t as student

    hits, n = (sum(part) for part in zip(*counted, strict=True))
    rate, worst = hits / n, n**2 / sum(m**2 for _, m in counted)
    worth = worst
    if 0 < hits < n and len(counted) > 1:
        spread = sum((k - rate * m) ** 2 for k, m in counted) * len(counted) / (len(counted) - 1) / n**2
        tail = (1 + level) / 2
        few = float(student.ppf(tail, n - 1) / student.ppf(tail, len(counted) - 1)) ** 2
        worth = max(worst, min(float(n), few * rate * (1 - rate) / spread)) if spread else float(n)
    k, tail = rate * worth, (1 - level) / 2
    low = float(beta.ppf(tail, k, worth - k + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, k + 1, worth - k)) if hits < n else 1.0
    return Interval(low, high, level, "clustered")


def clustered_anytime(groups: Sequence[tuple[int, int]], level: float = 0.95) -> Interval:
    """The confidence sequence of the mean of the groups' rates, which allows for groups that are added after a look.

    The groups must be independent and alike. Each counts as one value in [0, 1], whatever its number of trials. Trials
    that are added to a group after a look change its value, for which the interval does not allow.

    Args:
        groups: (k, m) of each group: k hits of m trials; groups without trials are ignored.
        level: coverage of the interval at all looks together, in (0, 1).
    """
    rates = [k / m for k, m in groups if m]
    found = confidence_sequence(min(sum(rates), float(len(rates))), len(rates), level)
    return Interval(found.low, found.high, level, "clustered-anytime")
