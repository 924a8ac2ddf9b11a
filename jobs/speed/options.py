"""What a run of the benchmark may choose."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from core.config.base import Number, Options, Unset

RESNET_IMAGES = 612
"""Training images of the ResNet-18 rows, and their largest batch."""
MAX_TIMES = 10**6


class BenchmarkOptions(Options):
    """How often and how long rows are measured, and their sizes."""

    repeats: int = Field(5, ge=1, le=MAX_TIMES, description="turns of each comparison; slow rows take fewer")
    seconds: Number = Field(1.0, gt=0, description="least seconds of one side in one turn")
    resnet_batch: Annotated[
        tuple[Annotated[int, Field(ge=1, le=RESNET_IMAGES)], ...], Unset("one up to 128 that this machine can bear")
    ] = Field((), description="batch sizes of trades-resnet18")
    sweep_seeds: int = Field(1, ge=1, le=MAX_TIMES, description="seeds per cell of the quick sweep that is run")
