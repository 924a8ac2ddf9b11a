"""Losses of attacks, given by their gradients at the adversarial logits in closed form.

Losses are sums over the batch and not means, so that the gradient at an image does not depend on the batch size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AttackLoss = Literal["ce", "kl", "margin"]
LogitGradient = Callable[[Tensor], Tensor]
"""Logits ``[n, classes]`` -> gradient of the loss at these logits, of the same shape and type."""


def at_least_float32(logits: Tensor) -> Tensor:
    """Logits in float32 or float64. Losses are computed in this precision, also under autocast."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Largest logit of a wrong class minus the logit of the true class, ``[n]``; positive for misclassified images."""
    true = logits.gather(1, y[:, None])
    others = logits.scatter(1, y[:, None], -torch.inf)
    return others.amax(1) - true[:, 0]


def _through_log_softmax(logits: Tensor, gradient: Tensor) -> Tensor:
    """Gradient at the logits from the gradient at their log-softmax, with the rounding of autograd.

    For confident predictions a difference of softmaxes is dominated by rounding error, which changes gradient signs.
    This function uses the same kernel as autograd, so that training matches plain torch.
    """
    wide = at_least_float32(logits)
    by_logits = torch.ops.aten._log_softmax_backward_data(gradient, F.log_softmax(wide, dim=1), 1, wide.dtype)
    return by_logits.to(logits.dtype)


def cross_entropy(y: Tensor, scale: float = 1.0) -> LogitGradient:
    """Cross-entropy to the labels."""

    def gradient(logits: Tensor) -> Tensor:
        by_log_softmax = torch.zeros_like(at_least_float32(logits)).scatter_(1, y[:, None], -scale)
        return _through_log_softmax(logits, by_log_softmax)

    return gradient


def target_cross_entropy(target: Tensor, scale: float = 1.0) -> LogitGradient:
    """Minus the cross-entropy to target classes."""
    return cross_entropy(target, -scale)


def kl_from(clean_logits: Tensor, scale: float = 1.0) -> LogitGradient:
    """``KL(softmax(clean) || softmax(adversarial))``, TRADES' inner loss (Zhang et al. 2019)."""
    by_log_softmax = F.softmax(at_least_float32(clean_logits), dim=1).mul_(-scale)
    return lambda logits: _through_log_softmax(logits, by_log_softmax)


def total_margin(y: Tensor, scale: float = 1.0) -> LogitGradient:
    """The sum of `margin`, which is the loss f6 of Carlini and Wagner (2017) without its lower bound."""

    def gradient(logits: Tensor) -> Tensor:
        best = logits.scatter(1, y[:, None], -torch.inf).argmax(1, keepdim=True)
        signs = torch.zeros_like(logits).scatter_(1, best, scale)
        return signs.scatter_(1, y[:, None], -scale)

    return gradient


def guided_cross_entropy(y: Tensor, clean: Tensor, weight: float, scale: float = 1.0) -> LogitGradient:
    """``CE + weight * ||clean - softmax||_2^2`` with clean probabilities ``[n, classes]`` (Sriramanan et al. 2020)."""
    ascend = cross_entropy(y, scale)

    def gradient(logits: Tensor) -> Tensor:
        adversarial = F.softmax(at_least_float32(logits), dim=1)
        by_probability = 2 * weight * scale * (adversarial - clean)
        centred = by_probability - (adversarial * by_probability).sum(1, keepdim=True)
        return ascend(logits) + (adversarial * centred).to(logits.dtype)

    return gradient


def probability_margin(y: Tensor, scale: float = 1.0) -> LogitGradient:
    """The largest softmax probability of a wrong class minus that of the true one."""

    def gradient(logits: Tensor) -> Tensor:
        p = F.softmax(at_least_float32(logits), dim=1)
        by_probability = total_margin(y, scale)(p)
        return (p * (by_probability - (p * by_probability).sum(1, keepdim=True))).to(logits.dtype)

    return gradient
