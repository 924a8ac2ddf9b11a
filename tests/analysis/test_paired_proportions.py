"""The interval of a paired difference, against exact sums over multinomial outcomes."""

from __future__ import annotations

from math import factorial

import pytest

from analysis.statistics.paired_proportions import paired_difference


def pairs(only_first: int, only_second: int, both: int) -> tuple[list[bool], list[bool]]:
    first = [True] * only_first + [False] * only_second + [True] * both
    second = [False] * only_first + [True] * only_second + [True] * both
    return first, second


@pytest.mark.parametrize(("only_first", "only_second"), [(0.1, 0.0), (0.2, 0.1), (0.3, 0.05), (0.05, 0.05), (0.5, 0.2)])
def test_coverage_is_near_the_level(only_first: float, only_second: float) -> None:
    n, covered = 40, 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            rest = n - b - c
            ways = factorial(n) // (factorial(b) * factorial(c) * factorial(rest))
            chance = ways * only_first**b * only_second**c * (1 - only_first - only_second) ** rest
            if chance > 1e-12 and only_first - only_second in paired_difference(*pairs(b, c, rest)):
                covered += chance
    assert 0.91 <= covered <= 0.995


def test_it_is_the_published_formula() -> None:
    """Counts of 16 and 5 of 100 pairs, by hand."""
    found = paired_difference(*pairs(16, 5, 79))
    # (16.5 - 5.5) / 102 = 0.10784; sqrt(22 - 121 / 102) / 102 = 0.044728; 1.959964 standard errors
    assert (found.low, found.high) == pytest.approx((0.10784 - 0.08766, 0.10784 + 0.08766), abs=2e-5)


def test_impossible_arguments() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        paired_difference([], [])
    with pytest.raises(ValueError, match="longer"):
        paired_difference([True], [True, False])
