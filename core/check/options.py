"""The options of a check."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from core.config.base import Number, Options, Unset
from core.config.datasets import DATASETS, find_dataset
from core.config.registered import Registered


class NetworkOptions(Options):
    """Where the network comes from."""

    weights: str | None = Field(
        None, description="file of the network: TorchScript, a state dict (with --model), or a checkpoint of a sweep"
    )
    model: str | None = Field(
        None, description="what builds the network of a state dict: module:function without arguments, or resnet18, ..."
    )
    robustbench: str | None = Field(None, description="name of a RobustBench model (l-infinity), instead of a file")

    @model_validator(mode="after")
    def _one_origin(self) -> NetworkOptions:
        if (self.weights is None) == (self.robustbench is None):
            raise ValueError("give either --weights FILE or --robustbench NAME")
        if self.robustbench and self.model:
            raise ValueError(f"--model {self.model}: is impossible with --robustbench, which names the network")
        return self


class CheckOptions(Options):
    """Images, radius and attacks of a check."""

    dataset: Annotated[str | None, Registered(find_dataset, lambda: DATASETS), Unset("the checkpoint's own")] = Field(
        None, description="data set whose test images are attacked; only a checkpoint of a sweep names it itself"
    )
    epsilon: Annotated[Number | None, Unset("the checkpoint's own")] = Field(
        None, gt=0, le=1, description="l-infinity radius of all attacks, for images in [0, 1]"
    )
    images: int = Field(500, ge=1, le=10_000_000, description="number of test images, from the first one")
    auto_attack: bool = Field(True, description="run AutoAttack's standard cascade, which takes most of the time")
    block: int = Field(128, ge=1, le=100_000, description="images per forward; it affects random numbers")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of all attacks")
