"""How instability is measured, detected and judged: one protocol for a whole sweep."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.config.base import Number, Options


class ProtocolOptions(Options):
    """Measurement, alarm and verdict. Attack radii are the cell's epsilon; step sizes are this protocol's own."""

    eval_steps: int = Field(10, ge=1, le=1000, description="steps of the validation attack (PGD-10)")
    eval_step_fraction: Number = Field(
        0.25, gt=0, le=2, description="its step size as a fraction of epsilon (2/255 of 8/255)"
    )
    fosc_center: Literal["natural", "start"] = Field(
        "natural", description="centre of FOSC: the natural image (paper) or the attack's start (reference code)"
    )
    fosc_threshold: Number = Field(
        3.0, gt=0, description="FOSC above which an epoch counts as masked; the paper gives none"
    )
    fosc_patience: int = Field(2, ge=1, description="consecutive epochs above the threshold that make an onset")
    fosc_grace: int = Field(5, ge=0, description="first epochs that never count")
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
    pgd50_restarts: int = Field(5, ge=1, le=100, description="restarts of the PGD-50 beside PGD-10")
    overestimation_gap: Number = Field(
        0.08, gt=0, le=1, description="PGD-10 minus Square accuracy that labels overestimation"
    )
    catastrophic_gap: Number = Field(0.2, gt=0, le=1, description="FGSM minus PGD-10 accuracy that labels catastrophic")
    eval_seed: int = Field(0, ge=0, lt=2**32, description="seed of all evaluation attacks, shared by all trials")
