"""The protocol of a sweep: how instability is measured, detected and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from core.config.base import Number, Options, Unset

SquareKind = Literal["rescaled", "autoattack"]
DetectorName = Literal[
    "fosc",
    "fosc-ratio",
    "fosc-cusum",
    "sgcs-drop",
    "pgd-rise",
    "one-step-gap",
    "linearity-error",
    "linearity-ratio",
    "boundary-distortion",
]
"""Detectors of `core.verdict.registry` whose metrics can be measured in every epoch of any trial."""
OF_SMOOTHNESS = ("linearity-error", "linearity-ratio", "boundary-distortion")
"""Detectors whose metrics need `ProtocolOptions.smoothness`."""
BOUNDARY_POINTS = 10
"""Number of equal parts of FGSM's step at whose ends boundary distortion is measured."""


class ProtocolOptions(Options):
    """Options of measurement, alarm and verdict. The radius of all attacks is the cell's epsilon."""

    eval_steps: int = Field(10, ge=1, le=1000, description="number of steps of the validation attack (PGD)")
    eval_step_fraction: Number = Field(
        0.25, gt=0, le=2, description="step size of the validation attack, as a fraction of epsilon"
    )
    fosc_center: Literal["natural", "start"] = Field(
        "natural",
        description="centre of FOSC's ball: the natural image (paper) or the unclamped start (reference code)",
    )
    fosc_threshold: Number = Field(
        3.0, gt=0, description="FOSC above which an epoch counts as masked (the paper gives no value)"
    )
    fosc_patience: int = Field(
        2, ge=1, description="number of consecutive epochs above the threshold that make an onset"
    )
    fosc_grace: int = Field(5, ge=0, description="number of first epochs that never count as masked")
    detector: DetectorName = Field(
        "fosc",
        description="detector whose alarm, once confirmed, stops a trial; --fosc-patience and --fosc-grace apply to it",
    )
    detector_threshold: Annotated[Number | None, Unset("none")] = Field(
        None, description="score above which an epoch counts as masked; required for detectors other than fosc"
    )
    gradient_stride: int = Field(
        0, ge=0, description="training steps between two measurements of the gradient norm (Appendix G); 0: none"
    )
    stop: bool = Field(
        True, description="stop a trial once its alarm is confirmed; --no-stop trains all trials to the last epoch"
    )
    audit: Number = Field(
        0.0,
        ge=0,
        le=1,
        description="share of trials, chosen by a hash of the trial, that train to the last epoch despite alarms",
    )
    confirm_every: int = Field(5, ge=1, description="epochs between two attempts to confirm an alarm")
    verdict_images: int = Field(
        400,
        ge=1,
        description="largest number of images of a verdict attack (validation set for alarms, test set at the end)",
    )
    square_queries: int = Field(1000, ge=1, le=100_000, description="queries of the Square attack per image")
    square: SquareKind = Field(
        "rescaled",
        description="Square attack of the label overestimation: rescaled to its queries and mostly stronger, or "
        "autoattack, which AutoAttack runs and papers report",
    )
    both_squares: bool = Field(
        False, description="measure the other Square, too; a report then has the rates of both labels"
    )
    pgd50_restarts: int = Field(5, ge=1, le=100, description="number of restarts of the verdict's PGD-50")
    overestimation_gap: Number = Field(
        0.08, gt=0, le=1, description="PGD minus Square accuracy, 0 to 1, from which robustness counts as overestimated"
    )
    catastrophic_gap: Number = Field(
        0.2, gt=0, le=1, description="FGSM minus PGD accuracy, 0 to 1, from which overfitting counts as catastrophic"
    )
    smoothness: bool = Field(
        False,
        description="measure linearity error and boundary distortion along FGSM's step in every epoch, for 10 more "
        "forwards of the validation images",
    )
    eval_seed: int = Field(0, ge=0, lt=2**32, description="seed of all evaluation attacks, the same in all trials")

    @model_validator(mode="after")
    def _has_one_threshold(self) -> ProtocolOptions:
        if self.detector == "fosc" and self.detector_threshold is not None:
            raise ValueError(
                f"detector_threshold {self.detector_threshold:g} is impossible with detector fosc; give fosc_threshold"
            )
        if self.detector != "fosc" and self.detector_threshold is None:
            raise ValueError(f"detector {self.detector} needs a detector_threshold")
        if self.detector in OF_SMOOTHNESS and not self.smoothness:
            raise ValueError(f"detector {self.detector} needs smoothness, with which its metric is measured")
        return self

    @property
    def alarm_threshold(self) -> float:
        """Score of the chosen detector above which an epoch counts as masked."""
        return self.fosc_threshold if self.detector_threshold is None else self.detector_threshold


def with_defaults(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """A stored protocol, completed by the defaults of options that were added after it was stored.

    The default of an added option keeps the earlier behaviour, so that both protocols are equivalent.
    """
    return {**ProtocolOptions().model_dump(mode="json"), **protocol}
