"""Weight gradients of TRADES' two terms around a training step (TRADES instability paper, Appendix G)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class GradientNorms(NamedTuple):
    """Zero-dimensional tensors, on the parameters' device."""

    w_norm: Tensor
    """l2 norm of the gradient of the full loss (eq. 4)."""
    ce_norm: Tensor
    """l2 norm of the cross-entropy's gradient (eq. 5)."""
    kl_norm: Tensor
    """l2 norm of the gradient of the KL term, its weight included (eq. 6)."""
    gradient: Tensor
    """Gradient of the full loss, flat, for `gradient_cosine`."""


def gradient_norms(ce: Tensor, kl_weighted: Tensor, parameters: Sequence[Tensor]) -> GradientNorms:
    """Norms of the gradients of ``ce``, of ``kl_weighted`` (beta included) and of their sum.

    Two backward passes; the graph stays usable and no ``.grad`` is written.
    """
    ce_gradient = _flat_gradient(ce, parameters)
    kl_gradient = _flat_gradient(kl_weighted, parameters)
    full = ce_gradient + kl_gradient
    return GradientNorms(full.norm(), ce_gradient.norm(), kl_gradient.norm(), full)


def gradient_cosine(before: Tensor, after: Tensor) -> Tensor:
    """Cosine of the full loss' flat gradients before and after a training step (eq. 7)."""
    return torch.nn.functional.cosine_similarity(before, after, dim=0)


def _flat_gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])
