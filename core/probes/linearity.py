"""Linearity error: how far the loss along an attack's step is from its first-order Taylor expansion."""

from __future__ import annotations

from torch import Tensor


def linearity_error(before: Tensor, after: Tensor, step: Tensor, gradient: Tensor) -> Tensor:
    """``|l(x + d) - l(x) - <d, grad l(x)>|`` per image (SEAT, Li and Yu 2022, eqs. 4 and C.1).

    The paper does not state whether it takes the absolute value per image or of batch means. This is per image.

    Args:
        before: ``[n]``, loss at the images.
        after: ``[n]``, loss at the images plus the step.
        step: ``[n, C, H, W]``, in the paper the step of FGSM.
        gradient: ``[n, C, H, W]``, gradient of each image's own loss at the image.

    Returns:
        ``[n]``, in units of the loss; 0 where the loss is linear between both points.
    """
    return (after - before - (step * gradient).flatten(1).sum(1)).abs()
