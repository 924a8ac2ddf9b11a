"""A count, and the question that it answers."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.intervals import Interval, IntervalKind, interval


@dataclass(frozen=True)
class Answer:
    """k of n trials, and the question that this answers."""

    question: str
    k: int
    n: int
    rate: float | None
    """k / n; None for n = 0."""
    interval: Interval


def answer(question: str, k: int, n: int, level: float = 0.95, kind: IntervalKind = "clopper-pearson") -> Answer:
    """The answer that k of n trials give."""
    return Answer(question, k, n, k / n if n else None, interval(kind, k, n, level))
