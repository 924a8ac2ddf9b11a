"""The adversarial loss around the weights of a network, along random directions with filter normalisation."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attacks import Attack
from core.attacks.base import attack_mode, gaussian
from core.fast import FoldedNetwork

Direction = Mapping[str, Tensor]
"""A direction in the space of the weights: one tensor for each parameter that changes, by its name."""


def filter_normalised(model: nn.Module, rng: torch.Generator) -> Direction:
    """A random direction in which every filter has the norm of the network's filter (Li et al. 2018, section 4).

    A filter is one output channel of a convolution or one row of a linear layer. Biases and the parameters of BatchNorm
    do not change.
    """
    found = {}
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            drawn = gaussian(weight.detach(), rng)
            ratio = weight.detach().flatten(1).norm(dim=1) / drawn.flatten(1).norm(dim=1)
            found[name] = drawn * ratio.view(-1, *(1,) * (drawn.dim() - 1))
    return found


@torch.no_grad()
def weight_landscape(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    directions: Sequence[Direction],
    offsets: Sequence[float],
    attack: Attack,
    seed: int,
) -> Tensor:
    """Cross-entropy of each image under attack with the weights ``w + a1 * d1 + a2 * d2 + ...``.

    As in AWP (Wu et al. 2020, section 3), the attack is computed again at each point, always from the same start.
    BatchNorm keeps the running statistics of the unchanged weights.

    Args:
        model: bare network; it is not changed.
        x: images ``[n, C, H, W]`` in [0, 1], on the model's device.
        y: ``[n]`` int64.
        directions: one or more directions of `filter_normalised`.
        offsets: the values of ``a1``, which are also those of ``a2``, ...
        attack: the attack at each point.
        seed: seed of the attack's random numbers.

    Returns:
        ``[n, points]`` for one direction, ``[n, points, points]`` for two.
    """
    moved = copy.deepcopy(model)
    own = dict(model.named_parameters())
    parameters = dict(moved.named_parameters())
    points = []
    for steps in itertools.product(offsets, repeat=len(directions)):
        for name in directions[0]:
            parameters[name].copy_(own[name])
            for step, direction in zip(steps, directions, strict=True):
                parameters[name].add_(direction[name], alpha=step)
        network = FoldedNetwork.of(moved)
        with attack_mode(network):
            found = attack.perturb(network, x, y, torch.Generator().manual_seed(seed))
            points.append(F.cross_entropy(network(found), y, reduction="none"))
    return torch.stack(points, 1).view(len(x), *(len(offsets),) * len(directions))
