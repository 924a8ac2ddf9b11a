"""Empirical local Lipschitz constants of a network."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from core.attacks.base import bounds, uniform

MIN_DISTANCE = 1e-6
"""Images closer than this in l-infinity do not count, because rounding dominates their ratio."""


@torch.no_grad()
def local_lipschitz(
    model: nn.Module,
    x: Tensor,
    epsilon: float,
    steps: int,
    step_size: float,
    rng: torch.Generator,
    end: Literal["largest", "smallest"] = "largest",
) -> Tensor:
    """Largest or smallest ``||f(x) - f(x')||_1 / ||x - x'||_inf`` that a search in the ball finds, per image.

    ``f`` are the logits. The largest ratio is the empirical Lipschitz constant of Yang et al. (2020). SEAT (Li and Yu
    2022, eq. 10 and Table E.1) prints a lower and an upper bound, found "by minimizing and maximizing". The paper's
    formula was not available; the smallest and the largest ratio are computed. The search takes sign steps from a
    uniform start, and keeps the best of all its images. Towards the smallest it descends the ratio. Towards the largest
    it ascends the numerator: the ratio's gradient would also shrink the pixels with the largest change, and a linear
    network, whose ratio is largest at a corner of the ball, would never get there.

    Args:
        model: bare network, in eval mode.
        x: images ``[n, C, H, W]`` in [0, 1].
        epsilon: radius of the l-infinity ball; images also stay within [0, 1].
        steps: number of steps.
        step_size: length of a step per pixel.
        rng: source of the start.
        end: which end of the ratio is searched.

    Returns:
        ``[n]``.
    """
    sign = 1.0 if end == "largest" else -1.0
    clean = model(x)
    limits = bounds(x, epsilon)
    other = (x + epsilon * uniform(x, rng)).clamp_(*limits)
    best = torch.full((len(x),), -torch.inf, dtype=x.dtype, device=x.device)
    for _ in range(steps + 1):
        leaf = other.detach().requires_grad_()
        with torch.enable_grad():
            distance = (leaf - x).flatten(1).abs().amax(1).clamp(min=torch.finfo(x.dtype).tiny)
            change = (model(leaf) - clean).abs().sum(1)
            goal = change if end == "largest" else -change / distance
            gradient = torch.autograd.grad(goal.sum(), leaf)[0]
        ratio = sign * (change / distance).detach().to(best.dtype)
        best = torch.where(distance >= MIN_DISTANCE, best.maximum(ratio), best)
        other = (other + step_size * gradient.sign()).clamp_(*limits)
    return sign * best
