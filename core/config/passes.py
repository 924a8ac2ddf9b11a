"""The passes through the network that training a cell takes."""

from __future__ import annotations

from collections import Counter

from core.config.attack import AwpOptions, InnerAttackOptions
from core.config.cell import Cell
from core.config.methods.base import Passes


def passes_per_batch(cell: Cell) -> Passes:
    """Passes of one training batch, a mean over the epochs.

    The number of attack steps may change over the epochs, and some epochs may perturb no weights. If the weights are
    averaged, each epoch has one more forward of every batch, which measures BatchNorm's statistics.
    """
    epochs, averaging = cell.training.epochs, cell.averaging
    passes = Passes()
    changes = cell.in_epoch(1) is not cell
    options = ((cell.in_epoch(epoch) if changes else cell, epoch) for epoch in range(1, epochs + 1))
    for (attack, weights), count in Counter(_attack_and_weights(*at) for at in options).items():
        passes = passes.plus(cell.method.step_passes(attack, weights).times(count / epochs))
    if averaging.averages and cell.model.norm == "batch":
        passes = passes.plus(Passes(1 - (averaging.averaging_start - 1) / epochs))
    return passes


def _attack_and_weights(cell: Cell, epoch: int) -> tuple[InnerAttackOptions, AwpOptions]:
    """The attack and the weight perturbation of a 1-based epoch, in which ``cell`` is the cell."""
    return cell.attack, AwpOptions() if epoch <= cell.awp.awp_warmup else cell.awp
