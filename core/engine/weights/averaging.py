"""Averages of a network's weights over training: EMA and SWA (Izmailov et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

from core.config.averaging import AveragingOptions
from core.fast.batch_norm import BATCH_NORMS


class WeightAverage:
    """The average of the parameters of a network that is trained, as a network of its own.

    BatchNorm statistics are not averaged. They are estimated after each epoch by one pass in train mode over the clean,
    augmented training images, as in the codes of "Robust Overfitting may be mitigated by properly learned smoothening"
    (Chen et al. 2021) and "Data Augmentation Alone Can Improve Adversarial Training" (Li and Spratling 2023).

    Attributes:
        model: the averaged network; until a weight has been averaged, a copy of the trained network after its last
            epoch.
    """

    def __init__(self, options: AveragingOptions, model: nn.Module) -> None:
        self.options = options
        ema = options.weight_averaging == "ema"
        update = get_ema_multi_avg_fn(options.averaging_decay) if ema else _mean
        self._average = AveragedModel(model, multi_avg_fn=update)
        self.model: nn.Module = self._average.module
        self.interval = options.averaging_interval or (1 if ema else None)
        """Number of updates between two that enter the average; None: the last update of each epoch enters it."""
        self._updates = 0

    def after_update(self, model: nn.Module, epoch: int) -> None:
        """Count an update of the weights in a 1-based epoch. Its result enters the average once in an interval."""
        if self.interval and epoch >= self.options.averaging_start:
            self._updates += 1
            if self._updates % self.interval == 0:
                self._average.update_parameters(model)

    def after_epoch(self, model: nn.Module, epoch: int, images: Iterable[Tensor]) -> None:
        """Complete the averaged network after a 1-based epoch; ``images`` are the batches of the training set."""
        if not self.interval and epoch >= self.options.averaging_start:
            self._average.update_parameters(model)
        if self._average.n_averaged == 0:
            self.model.load_state_dict(model.state_dict())
        else:
            estimate_statistics(self.model, images)

    def restart(self) -> None:
        """Forget the average. The next weights are the first ones of a new one."""
        self._average.n_averaged.zero_()
        self._updates = 0

    def state_dict(self) -> dict[str, Any]:
        """The averaged network and the counts, for a bit-identical continuation."""
        return {"average": self._average.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that was returned by `state_dict`."""
        self._average.load_state_dict(state["average"])
        self._updates = state["updates"]


@torch.no_grad()
def _mean(average: PARAM_LIST, weights: PARAM_LIST, averaged: Tensor | int) -> None:
    """Add the next weights to a mean. PyTorch's own function has a share in float32, also for float64 weights."""
    torch._foreach_lerp_(average, weights, 1 / (int(averaged) + 1))


@torch.no_grad()
def estimate_statistics(model: nn.Module, images: Iterable[Tensor]) -> None:
    """Replace BatchNorm's running statistics by the mean of those of the batches, weighted by their sizes."""
    layers = [module for module in model.modules() if isinstance(module, BATCH_NORMS) and module.track_running_stats]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
    model.train()
    seen = 0
    for x in images:
        seen += len(x)
        for layer in layers:
            layer.momentum = len(x) / seen
        model(x)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
