"""What a comparison with a published number concludes."""

from __future__ import annotations

from typing import Literal

from analysis.questions.compare_counts import TOO_FEW_SEEDS

Conclusion = Literal["reproduced", "not contradicted", "contradicted", "too few seeds", "no trials"]
CONCLUSIONS: dict[Conclusion, str] = {
    "reproduced": "a test of equivalence finds the difference within the margin, with the paper's set-up",
    "not contradicted": "neither a difference nor equivalence within the margin was found, or the set-up is another",
    "contradicted": "evidence that the probabilities or means differ",
    "too few seeds": TOO_FEW_SEEDS,
    "no trials": "no finished trial yet",
}
"""The meaning of each conclusion."""
MEAN_MARGIN = 0.02
"""Largest difference of two mean accuracies that counts as the same."""


def conclude(*, different: bool, equivalent: bool, same_setup: bool, possible: bool) -> Conclusion:
    """The conclusion of a comparison.

    Args:
        different: a test finds that the two sides differ.
        equivalent: a test finds that they differ by less than the margin.
        same_setup: both sides have the same set-up.
        possible: this number of trials could have found either.
    """
    if equivalent and same_setup:
        return "reproduced"
    if different and not equivalent:
        return "contradicted"
    return "not contradicted" if possible or equivalent else "too few seeds"
