"""The learning rate and the momentum of each weight update, as functions of the number of updates before it."""

from __future__ import annotations

import math
from typing import NamedTuple

from core.config.training import TrainingOptions

START_SHARE = 1 / 25
"""First learning rate of one-cycle, as a share of the highest. This and the last are the defaults of PyTorch."""
END_SHARE = START_SHARE / 1e4
"""Last learning rate of one-cycle, as a share of the highest."""


class Rates(NamedTuple):
    """What the optimiser needs for one update."""

    lr: float
    momentum: float


def rates(options: TrainingOptions, update: int, per_epoch: int, epochs: int) -> Rates:
    """The learning rate and the momentum of an update.

    ``cosine`` is ``CosineAnnealingLR`` and ``one-cycle`` is ``OneCycleLR`` of PyTorch, stepped after each update.
    ``triangular`` is ``np.interp([t], [0, peak, 1], [0, lr, 0])``, where the share ``t`` of the updates includes this
    update, as in the codes of GradAlign and AWP. ``CyclicLR`` in the code of RS-FGSM is the same, one update later.

    Args:
        options: the schedule and its highest values.
        update: 0-based number of the update in the training.
        per_epoch: number of updates in an epoch.
        epochs: number of epochs that the schedule covers; in later epochs cosine, triangular and one-cycle keep their
            last values.
    """
    updates = per_epoch * epochs
    number = min(update, updates - 1)
    match options.schedule:
        case "cosine":
            return Rates(options.lr * (1 + math.cos(math.pi * number / updates)) / 2, options.momentum)
        case "triangular":
            share, peak = (number + 1) / updates, options.peak_share
            return Rates(options.lr * min(share / peak, (1 - share) / (1 - peak)), options.momentum)
        case "one-cycle":
            return _one_cycle(options, number, updates)
    epoch = update // per_epoch + 1
    return Rates(options.lr * options.lr_decay ** sum(epoch > mile for mile in options.milestones), options.momentum)


def _one_cycle(options: TrainingOptions, number: int, updates: int) -> Rates:
    highest = options.peak_share * updates - 1
    least = options.momentum if options.peak_momentum is None else options.peak_momentum
    if number <= highest:
        passed = number / highest if highest else 1.0
        return Rates(options.lr * _cosine(START_SHARE, 1, passed), _cosine(options.momentum, least, passed))
    passed = (number - highest) / (updates - 1 - highest)
    return Rates(options.lr * _cosine(1, END_SHARE, passed), _cosine(least, options.momentum, passed))


def _cosine(start: float, end: float, passed: float) -> float:
    """Half a cosine wave from ``start`` at ``passed`` 0 to ``end`` at 1."""
    return end + (start - end) * (1 + math.cos(math.pi * passed)) / 2
