"""Sizes of the rows: those of the paper on a GPU, and smaller ones on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from jobs.speed.bf16 import has_bf16

RESNET: dict[str, Any] = {
    "dataset": "fields",
    "classes": 100,
    "channels": 3,
    "image_size": 32,
    "validation_images": 100,
    "test_images": 100,
    "model": "resnet18",
    "epsilon": "8/255",
    "attack_steps": 10,
    "attack_step_size": "2/255",
    "lr": 0.01,
    "channels_last": True,
}
"""The paper's network and attack on generated images of CIFAR-100's shape; the low learning rate keeps the first steps
from diverging."""

ROBUST_RESNET: dict[str, Any] = {
    **RESNET,
    "classes": 10,
    "train_images": 11_000,
    "validation_images": 1_000,
    "test_images": 2_000,
    "batch_size": 128,
    "epsilon": 0.1,
    "attack_step_size": 0.025,
    "lr": 0.05,
    "precision": "bf16",
}
ROBUST_SMALL: dict[str, Any] = {
    "dataset": "fields",
    "classes": 10,
    "train_images": 1_200,
    "validation_images": 400,
    "test_images": 200,
    "model": "small-cnn",
    "epsilon": 0.12,
    "attack_steps": 10,
    "attack_step_size": 0.03,
    "batch_size": 64,
    "lr": 0.05,
}


@dataclass(frozen=True)
class Sizes:
    """Sizes of all rows on one kind of device.

    Attributes:
        batches: batch sizes of the step of ResNet-18.
        precisions: number formats of the step, in the order of their worth.
        seconds: least seconds of one measurement.
        robust: options of the cell whose network verdicts, validations and AutoAttack measure.
        train_seconds: seconds for which that network is trained.
        judged: test images of the verdict.
        queries: queries of the verdict's Square.
        block: images of AutoAttack's block.
        resumed: options of the cells that are interrupted and continued, on top of `RESNET`.
        resumed_epochs: number of epochs of these trainings, even.
        product: side of the square matrices whose product is timed.
        packed: numbers of trials that share the device.
        packed_seconds: seconds for which they train.
    """

    batches: tuple[int, ...]
    precisions: tuple[str, ...]
    seconds: float
    robust: dict[str, Any]
    train_seconds: float
    judged: int
    queries: int
    block: int
    resumed: dict[str, Any]
    resumed_epochs: int
    product: int
    packed: tuple[int, ...]
    packed_seconds: float


ON_GPU = Sizes(
    batches=(128, 256, 512, 1024),
    precisions=("bf16", "tf32", "fp16", "fp32"),
    seconds=2.0,
    robust=ROBUST_RESNET,
    train_seconds=60.0,
    judged=2_000,
    queries=1_000,
    block=500,
    resumed={"classes": 10, "train_images": 612, "batch_size": 128, "augment": "crop-flip"},
    resumed_epochs=4,
    product=8192,
    packed=(1, 2, 4),
    packed_seconds=20.0,
)


def sizes_for(device: torch.device) -> Sizes:
    """The sizes on this kind of device. A CPU has no TF32, and emulates fp16 slowly."""
    if device.type == "cuda":
        return ON_GPU
    return Sizes(
        batches=(4, 8),
        precisions=("fp32", "bf16") if has_bf16(device) else ("fp32",),
        seconds=1.0,
        robust=ROBUST_SMALL,
        train_seconds=15.0,
        judged=200,
        queries=200,
        block=50,
        resumed={"classes": 10, "train_images": 36, "validation_images": 20, "batch_size": 8, "augment": "crop-flip"},
        resumed_epochs=2,
        product=1024,
        packed=(1, 2),
        packed_seconds=5.0,
    )
