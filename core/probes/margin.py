"""The margin of an image along the direction of an attack."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MAX_MARGIN = 50.0
"""Largest margin that is searched, as in ISEAT (Li and Spratling 2025, section 3.2)."""
FINE, FINE_STEPS = 0.1, 20
"""Distance of the first points of the search in units of the perturbation's length, and their number."""
GROWTH, COARSE_STEPS = 1.1, 40
"""Ratio of neighbouring points after them, and their number."""
HALVINGS = 15


@torch.no_grad()
def margin_along(model: nn.Module, x: Tensor, perturbation: Tensor, largest: float = MAX_MARGIN) -> Tensor:
    """Least ``mu`` with ``F(clip(x + mu * p / ||p||_2)) != F(x)``, where ``F`` is the predicted class.

    It is the margin of Rade and Moosavi-Dezfooli (2022) as ISEAT uses it (Li and Spratling 2025, eq. 6), with images
    clipped to [0, 1]. A prediction may change and change back along the line. The search therefore goes outwards point
    by point, and halves the interval before the first point with another prediction. Changes that are undone between
    two neighbouring points are missed. The paper does not state its points; here they are multiples of 0.1 of the
    perturbation's length up to twice that length, and then grow by a tenth.

    Args:
        model: bare network, in eval mode.
        x: images ``[n, C, H, W]`` in [0, 1].
        perturbation: ``p``, of the same shape, such as that of PGD-50.
        largest: largest ``mu`` that is tried.

    Returns:
        ``[n]``, l2 lengths; ``largest`` for images whose prediction never changes.
    """
    length = perturbation.flatten(1).norm(dim=1)
    direction = perturbation / length.clamp(min=torch.finfo(x.dtype).tiny).view(-1, 1, 1, 1)
    predicted = model(x).argmax(1)

    def changed(mu: Tensor) -> Tensor:
        return model(torch.addcmul(x, direction, mu.view(-1, 1, 1, 1)).clamp_(0, 1)).argmax(1) != predicted

    low, high = torch.zeros_like(length), torch.full_like(length, largest)
    found = torch.zeros_like(predicted, dtype=torch.bool)
    fine = [FINE * k for k in range(1, FINE_STEPS + 1)]
    for factor in (*fine, *(fine[-1] * GROWTH**k for k in range(1, COARSE_STEPS + 1)), torch.inf):
        mu = (factor * length).nan_to_num(nan=largest).clamp(max=largest)
        hit = changed(mu) & ~found
        high = torch.where(hit, mu, high)
        found |= hit
        low = torch.where(found, low, mu)
        if found.all():
            break
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        other = changed(middle)
        high, low = torch.where(found & other, middle, high), torch.where(found & ~other, middle, low)
    return high
