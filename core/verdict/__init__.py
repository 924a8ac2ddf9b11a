"""When is a trial unstable? Detectors over traces, and the rule from evidence to outcome. No torch, no Ray."""

from core.verdict.detector import Detector, FoscDetector
from core.verdict.rule import censor, confirms_alarm, is_catastrophic, is_overestimated, judge

__all__ = ["Detector", "FoscDetector", "censor", "confirms_alarm", "is_catastrophic", "is_overestimated", "judge"]
