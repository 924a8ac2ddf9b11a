"""Step-wise gradient cosine similarity (SGCS): the agreement of an attack's steps with each other."""

from __future__ import annotations

import torch
from torch import Tensor


class StepCosine:
    """SGCS of one attack run (TRADES instability paper, eq. 3; Lee et al. 2021), as an observer of `Pgd.run`.

    The mean cosine over ordered pairs of different steps is computed without pairs: with unit vectors ``u_i``,
    ``sum over i != j of <u_i, u_j> = ||sum u_i||^2 - sum ||u_i||^2``. The cosine with a zero gradient counts as 0.
    """

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._squares: Tensor | None = None
        self._steps = 0

    def __call__(self, step: int, x_step: Tensor, gradient: Tensor) -> None:
        """Add the gradient of one step, ``[n, C, H, W]``."""
        signs = gradient.sign().flatten(1)
        nonzero = signs.abs().sum(1)
        unit = signs / nonzero.clamp(min=1).sqrt()[:, None]
        square = nonzero.clamp(max=1)
        self._sum = unit if self._sum is None else self._sum + unit
        self._squares = square if self._squares is None else self._squares + square
        self._steps += 1

    def value(self) -> Tensor:
        """SGCS per image in [-1, 1], ``[n]``; NaN after fewer than two steps."""
        assert self._sum is not None
        assert self._squares is not None
        if self._steps < 2:
            return torch.full_like(self._squares, torch.nan)
        return (self._sum.square().sum(1) - self._squares) / (self._steps * (self._steps - 1))
