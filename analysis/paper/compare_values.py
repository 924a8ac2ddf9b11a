"""One mean of a sweep compared with one published mean."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.paper.conclusions import MEAN_MARGIN, Conclusion, conclude
from analysis.paper.tables import Published
from analysis.statistics.means import MeanDifference, MeanStd, welch


@dataclass(frozen=True)
class ValueComparison:
    """A mean of a sweep compared with a published one."""

    value: str
    """Key of an attack, ``gap`` (PGD minus AutoAttack), or ``MEASURE/VALUE``."""
    ours: MeanStd | None
    """The mean of the sweep; None if it was not measured."""
    paper: Published
    test: MeanDifference | None
    """Test of the mean of the sweep minus the published one; None if the difference cannot be tested."""
    conclusion: Conclusion | None
    """None without a test."""
    why: str
    """Reason why there is no conclusion; empty with one."""


def compare_value(
    name: str, ours: MeanStd, published: Published, runs: int, level: float, *, same_setup: bool
) -> ValueComparison:
    """Welch's t-test of two means, and two one-sided t-tests of equivalence.

    The value is reproduced if the one-sided tests at 1 - level find that the means differ by less than `MEAN_MARGIN`,
    with the same set-up.

    Args:
        name: name of the value.
        ours: the mean of the sweep, of at least two trials.
        published: the published mean with its deviation, which is assumed to be a sample standard deviation.
        runs: the number of published runs.
        level: coverage of the interval of the difference.
        same_setup: whether both sides have the same set-up.
    """
    paper = MeanStd(published.mean, published.deviation, runs)
    test, narrow = welch(ours, paper, level), welch(ours, paper, 2 * level - 1)
    conclusion = conclude(
        different=test.p_value < 1 - level,
        equivalent=narrow.low > -MEAN_MARGIN and narrow.high < MEAN_MARGIN,
        same_setup=same_setup,
        # the widths do not depend on the means: equivalence could be found, or a difference of two margins
        possible=narrow.high - narrow.low < 2 * MEAN_MARGIN or test.high - test.low < 4 * MEAN_MARGIN,
    )
    return ValueComparison(name, ours, published, test, conclusion, "")
