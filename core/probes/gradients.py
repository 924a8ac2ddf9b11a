"""Weight gradients as vectors, and their cosine (TRADES instability paper, Appendix G)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def flat_gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Gradient of a scalar ``loss`` as one vector; it is 0 for parameters that the loss doesn't depend on.

    The graph stays usable and no ``.grad`` is written. The gradient's l2 norm is W_Grad_Norm, CE_Norm or
    KL_Norm (eqs. 4-6), depending on the loss.
    """
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def gradient_cosine(before: Tensor, after: Tensor) -> Tensor:
    """Cosine between the full loss's flat gradients before and after a training step (eq. 7)."""
    return torch.nn.functional.cosine_similarity(before, after, dim=0)
