"""Options of the benchmark."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from core.config.base import Number, Options, Unset

RESNET_IMAGES = 612
"""Training images of the ResNet-18 rows, and their largest batch."""
MAX_TIMES = 10**6


class BenchmarkOptions(Options):
    """Repeats, durations and sizes of the rows."""

    repeats: int = Field(5, ge=1, le=MAX_TIMES, description="number of turns of each comparison; slow rows take fewer")
    seconds: Number = Field(1.0, gt=0, description="minimum seconds of each side of a comparison in one turn")
    resnet_batch: Annotated[
        tuple[Annotated[int, Field(ge=1, le=RESNET_IMAGES)], ...], Unset("the largest up to 128 with short steps")
    ] = Field((), description="batch sizes of the row trades-resnet18")
    sweep_seeds: int = Field(1, ge=1, le=MAX_TIMES, description="seeds per cell in the row fields-sweep")
