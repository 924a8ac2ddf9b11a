"""The nearest misclassified image on the way to an adversarial one (Kim et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def first_misclassified(
    predict: Callable[[Tensor], Tensor], x: Tensor, x_adv: Tensor, y: Tensor, checkpoints: int
) -> Tensor:
    """For each image the first of ``x + k / checkpoints (x_adv - x)``, k = 1, 2, ..., that is misclassified.

    Where none before ``x_adv`` is misclassified, the result is ``x_adv``, which is not tested. All images are tested at
    all checkpoints but the last: ``checkpoints - 1`` forwards.

    Args:
        predict: maps images ``[n, C, H, W]`` to logits ``[n, classes]``.
        x: clean images.
        x_adv: adversarial images, of the shape of ``x``.
        y: labels ``[n]``.
        checkpoints: how many parts the way has, 1 or more.
    """
    found = x_adv
    # from the far end to the near one: the last that is written is the first on the way
    for checkpoint in range(checkpoints - 1, 0, -1):
        between = x + (x_adv - x) * (checkpoint / checkpoints)
        wrong = predict(between).argmax(1) != y
        found = torch.where(wrong.view(-1, *(1,) * (x.dim() - 1)), between, found)
    return found
