"""How instability is measured, detected and judged: one protocol for a whole sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from core.config.base import Number, Options

DetectorName = Literal["fosc", "fosc-ratio", "fosc-cusum", "sgcs-drop", "pgd-rise", "one-step-gap"]
"""Detectors of `core.verdict.registry` that read nothing but metrics that every trial measures in every epoch."""


class ProtocolOptions(Options):
    """Measurement, alarm and verdict. Attack radii are the cell's epsilon; step sizes are this protocol's own."""

    eval_steps: int = Field(10, ge=1, le=1000, description="steps of the validation attack (PGD)")
    eval_step_fraction: Number = Field(
        0.25, gt=0, le=2, description="its step size as a fraction of epsilon (2/255 of 8/255)"
    )
    fosc_center: Literal["natural", "start"] = Field(
        "natural",
        description="centre of FOSC: the natural image (paper) or the attack's unclamped start (reference code)",
    )
    fosc_threshold: Number = Field(
        3.0, gt=0, description="FOSC above which an epoch counts as masked; the paper gives none"
    )
    fosc_patience: int = Field(2, ge=1, description="consecutive epochs above the threshold that make an onset")
    fosc_grace: int = Field(5, ge=0, description="first epochs that never count")
    detector: DetectorName = Field(
        "fosc", description="detector whose alarm, once confirmed, stops a trial; patience and grace are as for FOSC"
    )
    detector_threshold: Number | None = Field(
        None, description="score above which an epoch counts, for detectors other than fosc, which have no default"
    )
    gradient_stride: int = Field(
        0, ge=0, description="training steps between gradient-norm measurements (Appendix G); 0: never"
    )
    stop: bool = Field(True, description="end a trial once an alarm is confirmed; --no-stop runs all to the end")
    audit: Number = Field(
        0.0,
        ge=0,
        le=1,
        description="share of trials, drawn from their identity, that run to the end whatever is detected",
    )
    confirm_every: int = Field(5, ge=1, description="epochs between confirmations while an alarm lasts unconfirmed")
    verdict_images: int = Field(
        400, ge=1, description="images of every verdict attack (validation for alarms, test at the end)"
    )
    square_queries: int = Field(1000, ge=1, le=100_000, description="queries of the Square attack")
    pgd50_restarts: int = Field(5, ge=1, le=100, description="restarts of the verdict's PGD-50")
    overestimation_gap: Number = Field(
        0.08, gt=0, le=1, description="PGD minus Square accuracy that labels overestimation"
    )
    catastrophic_gap: Number = Field(0.2, gt=0, le=1, description="FGSM minus PGD accuracy that labels catastrophic")
    eval_seed: int = Field(0, ge=0, lt=2**32, description="seed of all evaluation attacks, shared by all trials")

    @model_validator(mode="after")
    def _has_one_threshold(self) -> ProtocolOptions:
        if self.detector == "fosc" and self.detector_threshold is not None:
            raise ValueError(
                f"detector_threshold {self.detector_threshold:g} is impossible with detector fosc; give fosc_threshold"
            )
        if self.detector != "fosc" and self.detector_threshold is None:
            raise ValueError(f"detector {self.detector} needs a detector_threshold")
        return self

    @property
    def alarm_threshold(self) -> float:
        """Score of the chosen detector above which an epoch counts."""
        return self.fosc_threshold if self.detector_threshold is None else self.detector_threshold


def with_defaults(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """A stored protocol with the defaults of options that were added after it was written.

    An option is added with a default that changes nothing, so both protocols are the same.
    """
    return {**ProtocolOptions().model_dump(mode="json"), **protocol}
