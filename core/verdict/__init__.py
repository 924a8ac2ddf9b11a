"""When is a trial unstable? Detectors over traces, and the rule from evidence to outcome. No torch, no Ray."""

from core.verdict.detector import Detector, FoscDetector, ScoredDetector
from core.verdict.rule import censor, confirms_alarm, is_catastrophic, is_overestimated, judge
from core.verdict.scored import Cusum, FromMedian, Level, OneStepGap

__all__ = [
    "Cusum",
    "Detector",
    "FoscDetector",
    "FromMedian",
    "Level",
    "OneStepGap",
    "ScoredDetector",
    "censor",
    "confirms_alarm",
    "is_catastrophic",
    "is_overestimated",
    "judge",
]
