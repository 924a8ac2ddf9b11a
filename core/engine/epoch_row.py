"""Parts of an epoch's row in the trace: the validation metrics and the mean gradient norms."""

from __future__ import annotations

import time
from collections.abc import Sequence

from torch import nn

from core.attacks import fastest_search
from core.config import ProtocolOptions
from core.data.image_set import ImageSet
from core.engine.ranks import Ranks
from core.probes import validation_means, validation_sums
from core.records import Row


def validation_row(
    model: nn.Module, validation: ImageSet, epsilon: float, protocol: ProtocolOptions, ranks: Ranks
) -> Row:
    """The metrics ``val/...`` of the whole validation set, and ``time/eval_s``.

    Each rank measures a share of the images. All ranks must have the same model, BatchNorm statistics included.
    """
    started = time.perf_counter()
    sums = validation_sums(
        model,
        validation,
        epsilon,
        protocol,
        seed=protocol.eval_seed,
        rank=ranks.rank,
        workers=ranks.workers,
        search=fastest_search(ranks.device),
    )
    return {**validation_means(ranks.sum(sums)), "time/eval_s": time.perf_counter() - started}


def gradient_means(gradients: Sequence[Row]) -> Row:
    """The columns ``grad/...``: means over the epoch's gradient rows. Without rows there are no columns."""
    names = sorted(gradients[0].keys() - {"step", "epoch"}) if gradients else []
    return {f"grad/{name}": sum(row[name] or 0.0 for row in gradients) / len(gradients) for name in names}


def finite(row: Row) -> Row:
    """The row with None in place of infinities and NaN, which JSON cannot represent."""
    return {name: value if value is not None and abs(value) < float("inf") else None for name, value in row.items()}
