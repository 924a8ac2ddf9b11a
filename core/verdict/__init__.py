"""Is a trial unstable? Detectors on traces, and the rule from evidence to outcome. Needs neither torch nor Ray."""

from core.verdict.detector import Detector, FoscDetector, ScoredDetector
from core.verdict.registry import DETECTORS, DetectorSpec, build_detector
from core.verdict.rule import censor, confirms_alarm, is_catastrophic, is_overestimated, judge, reaches
from core.verdict.scored import Cusum, FromMedian, Level, OneStepGap

__all__ = [
    "DETECTORS",
    "Cusum",
    "Detector",
    "DetectorSpec",
    "FoscDetector",
    "FromMedian",
    "Level",
    "OneStepGap",
    "ScoredDetector",
    "build_detector",
    "censor",
    "confirms_alarm",
    "is_catastrophic",
    "is_overestimated",
    "judge",
    "reaches",
]
