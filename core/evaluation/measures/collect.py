"""The summary of a measure over all blocks of a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np

from core.evaluation.measures.names import MEASURES
from core.evaluation.measures.spec import MeasureSpec
from core.evaluation.measures.summary import summarise
from core.evaluation.measures.task import Values
from core.evaluation.options import EvaluationOptions
from core.records import CheckpointName, Measured
from core.source import code_version


def joined(blocks: Sequence[Values]) -> Values:
    """The values of all images, from blocks in the order of the images."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def measured(
    spec: MeasureSpec,
    values: Values,
    options: EvaluationOptions,
    pixels: int,
    checkpoint: CheckpointName = "selected",
    epoch: int = 0,
) -> Measured:
    """The record of one measure.

    Args:
        spec: the measure.
        values: the values of all images, see `joined`.
        options: the options of the evaluation.
        pixels: number of values of an image.
        checkpoint: name of the checkpoint.
        epoch: its 1-based epoch.
    """
    summary = summarise(spec.name, {k: v.astype(np.float64) for k, v in values.items()}, spec.epsilon, pixels)
    return Measured(
        measure=spec.name,
        checkpoint=checkpoint,
        epoch=epoch,
        split=MEASURES[spec.name].split,
        images=len(next(iter(values.values()))),
        epsilon=spec.epsilon,
        steps=spec.steps,
        step_fraction=spec.step_fraction,
        block=options.block,
        seed=options.seed,
        library=code_version(),
        values={name: _finite(value) for name, value in summary.values.items()},
        arrays={name: tuple(map(_finite, array)) for name, array in summary.arrays.items()},
    )


def merge_measured(known: Sequence[Measured], new: Measured) -> tuple[Measured, ...]:
    """The measures with a new one, which replaces an earlier one with the same settings."""
    return (*(entry for entry in known if not entry.same_setting(new)), new)


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None
