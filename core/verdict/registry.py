"""Detectors by name: those that can stop trials, and those that the report replays on stored traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from core.config import ProtocolOptions
from core.verdict.detector import FoscDetector, ScoredDetector
from core.verdict.scored import Cusum, FromMedian, Level, OneStepGap


class DetectorSpec(NamedTuple):
    """A detector's title and how it is built."""

    title: str
    """Name in reports."""
    build: Callable[..., ScoredDetector]
    arguments: tuple[Any, ...] = ()
    """Positional arguments of `build`, before the keywords ``threshold``, ``patience`` and ``grace``."""

    def make(self, *, threshold: float, patience: int, grace: int) -> ScoredDetector:
        """A new detector that has seen no epoch."""
        return self.build(*self.arguments, threshold=threshold, patience=patience, grace=grace)


DETECTORS: dict[str, DetectorSpec] = {
    "fosc": DetectorSpec("FOSC", FoscDetector),
    "fosc-ratio": DetectorSpec("FOSC / running median", FromMedian, ("val/fosc", "ratio")),
    "fosc-cusum": DetectorSpec("FOSC, CUSUM", Cusum, ("val/fosc",)),
    "sgcs-drop": DetectorSpec("SGCS drop", FromMedian, ("val/sgcs", "drop")),
    "train-gap-drop": DetectorSpec("training gap drop", FromMedian, ("train/gap", "drop")),
    "train-gap-cusum": DetectorSpec("training gap, CUSUM", Cusum, ("train/gap", -1)),
    "pgd-rise": DetectorSpec("PGD accuracy rise", FromMedian, ("val/pgd10_acc", "rise")),
    "one-step-gap": DetectorSpec("one-step minus PGD", OneStepGap),
    "linearity-error": DetectorSpec("linearity error", Level, ("val/linearity_error",)),
    "linearity-ratio": DetectorSpec("linearity error / running median", FromMedian, ("val/linearity_error", "ratio")),
    "boundary-distortion": DetectorSpec("boundary distortion", Level, ("val/boundary_distortion",)),
    "gradient-norm": DetectorSpec("weight gradient norm", Level, ("grad/w_norm",)),
}
"""A protocol may choose a detector whose metrics every trial measures (`core.config.protocol.DetectorName`). The others
are only replayed in reports, because some trials lack their metrics: the training gap needs a method with clean logits,
linearity error and boundary distortion need ``smoothness``, and the gradient norm needs ``gradient_stride``."""


def build_detector(protocol: ProtocolOptions) -> ScoredDetector:
    """The detector that a protocol has chosen to stop trials."""
    return DETECTORS[protocol.detector].make(
        threshold=protocol.alarm_threshold, patience=protocol.fosc_patience, grace=protocol.fosc_grace
    )
