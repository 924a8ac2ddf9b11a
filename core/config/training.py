"""Options of the optimiser, its schedule, and the arithmetic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.config.base import Number, Options, Unset, check_unused
from core.config.later import AddedLater
from core.config.over_epochs import NumberOverEpochs

PEAK_SHARES = {"triangular": 0.5, "one-cycle": 0.3}
"""Schedules whose learning rate rises and falls, with the usual share of the training that it rises."""


class TrainingOptions(Options):
    """Options of SGD, its schedule, and the arithmetic of one trial."""

    epochs: int = Field(50, ge=1, le=100_000, description="number of training epochs")
    batch_size: int = Field(128, ge=1, le=1_000_000, description="images per batch, summed over all workers")
    drop_last: bool = Field(False, description="drop the last batch of an epoch if it is smaller")
    lr: Number = Field(
        0.1, gt=0, le=100, description="initial learning rate; with schedule triangular or one-cycle the highest one"
    )
    momentum: Number = Field(0.9, ge=0, lt=1, description="SGD momentum")
    nesterov: bool = Field(True, description="use Nesterov momentum")
    weight_decay: Number = Field(5e-4, ge=0, le=1, description="SGD weight decay")
    label_smoothing: Annotated[NumberOverEpochs, AddedLater(0.0)] = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the target that all classes get alike in the cross-entropy of the objective; attacks and "
        "measurements use the labels themselves",
    )
    flood_loss: Annotated[NumberOverEpochs, AddedLater(0.0)] = Field(
        0.0,
        ge=0,
        le=1000,
        description="flood level b of the whole loss L of a batch, with any method: |L - b| + b is minimised; 0: no "
        "flooding",
    )
    schedule: Literal["constant", "step", "cosine", "triangular", "one-cycle"] = Field(
        "constant", description="learning-rate schedule; all but constant and step change it with every update"
    )
    milestones: Annotated[tuple[int, ...], Unset("none")] = Field(
        (), description="epochs after which the step schedule multiplies the learning rate by --lr-decay"
    )
    lr_decay: Number = Field(0.1, gt=0, le=1, description="factor of the learning rate at each milestone")
    lr_peak: Annotated[Number | None, Unset("1/2 for triangular, 0.3 for one-cycle"), AddedLater(None)] = Field(
        None, gt=0, lt=1, description="share of the training after which the learning rate is highest, such as 2/5"
    )
    peak_momentum: Annotated[Number | None, Unset("--momentum"), AddedLater(None)] = Field(
        None, gt=0, lt=1, description="momentum while the learning rate of one-cycle is highest; 0.85 in PyTorch"
    )
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = Field(
        "fp32", description="number format of training; verdicts are always measured in fp32"
    )
    channels_last: bool = Field(False, description="use channels-last memory format: faster for deep networks only")
    fast: Annotated[bool, AddedLater(True)] = Field(
        True,
        description="attack a copy of the network with folded BatchNorm, which is faster and equal to plain torch up "
        "to rounding; false: plain torch, which allows second derivatives",
    )
    compile: bool = Field(False, description="compile the network by torch.compile")
    workers: int = Field(1, ge=1, le=1024, description="number of DDP ranks per trial")

    @model_validator(mode="after")
    def _consistent(self) -> TrainingOptions:
        if self.schedule == "step" and not self.milestones:
            raise ValueError("schedule step needs milestones, such as 100 150")
        if self.schedule != "step" and self.milestones:
            raise ValueError(f"milestones {self.milestones} need schedule step, not {self.schedule}")
        peaks = self.schedule in PEAK_SHARES
        check_unused(self, ("lr_peak",), "schedule triangular or one-cycle", needed=peaks)
        check_unused(self, ("peak_momentum",), "schedule one-cycle", needed=self.schedule == "one-cycle")
        if list(self.milestones) != sorted(set(self.milestones)) or any(m < 1 for m in self.milestones):
            raise ValueError(f"milestones {self.milestones} must be positive and increasing")
        if self.batch_size < self.workers:
            raise ValueError(f"batch_size {self.batch_size} must be at least workers {self.workers}")
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0")
        return self

    @property
    def peak_share(self) -> float:
        """Share of the training after which the learning rate is highest, in schedules that rise and fall."""
        return PEAK_SHARES[self.schedule] if self.lr_peak is None else self.lr_peak
