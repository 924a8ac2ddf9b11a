"""The passes through the network that training a cell takes."""

from __future__ import annotations

from core.config.cell import Cell
from core.config.methods.base import Passes


def passes_per_batch(cell: Cell) -> Passes:
    """Passes of one training batch, a mean over the epochs.

    In some epochs, weights may not be perturbed. If the weights are averaged, each epoch has one more forward of every
    batch, which measures BatchNorm's statistics.
    """
    epochs, averaging = cell.training.epochs, cell.averaging
    perturbed = cell.method.step_passes(cell.attack, cell.awp)
    plain = cell.method.step_passes(cell.attack, cell.awp.model_copy(update={"awp_radius": 0.0, "rwp_radius": 0.0}))
    share = _perturbing_epochs(cell) / epochs
    passes = perturbed.times(share).plus(plain.times(1 - share)) if share < 1 else perturbed
    if averaging.averages and cell.model.norm == "batch":
        passes = passes.plus(Passes(1 - (averaging.averaging_start - 1) / epochs))
    return passes


def _perturbing_epochs(cell: Cell) -> int:
    """Number of epochs that perturb the weights."""
    epochs = range(cell.awp.awp_warmup + 1, cell.training.epochs + 1)
    if isinstance(cell.awp.awp_radius, float) and isinstance(cell.awp.rwp_radius, float):
        return len(epochs) * (max(cell.awp.awp_radius, cell.awp.rwp_radius) > 0)
    weights = (cell.in_epoch(epoch).awp for epoch in epochs)
    return sum(options.awp_radius > 0 or options.rwp_radius > 0 for options in weights)
