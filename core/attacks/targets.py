"""Target classes of targeted attacks."""

from __future__ import annotations

import torch
from torch import Tensor


def random_targets(y: Tensor, classes: int, rng: torch.Generator) -> Tensor:
    """One class per image, uniform over the classes other than ``y``; ``[n]`` int64."""
    shift = torch.randint(1, classes, y.shape, generator=rng, device=rng.device).to(y.device)
    return (y + shift) % classes


def least_likely_targets(y: Tensor, clean_logits: Tensor) -> Tensor:
    """The class with the smallest clean logit among the classes other than ``y``; ``[n]`` int64."""
    return clean_logits.scatter(1, y[:, None], torch.inf).argmin(1)
