"""Losses that several methods share. They are computed in float32 or float64, also under autocast."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from core.attacks.losses import at_least_float32


def cross_entropy(logits: Tensor, y: Tensor, reduction: str = "mean", smoothing: float = 0.0) -> Tensor:
    """Cross-entropy to the labels: the batch's mean, or with ``reduction="none"`` one value per image.

    The targets are ``1 - smoothing`` on the label plus ``smoothing / classes`` on every class (Szegedy et al. 2016).
    """
    return F.cross_entropy(at_least_float32(logits), y, reduction=reduction, label_smoothing=smoothing)


def kl_divergence(target: Tensor, logits: Tensor, reduction: str = "batchmean") -> Tensor:
    """``KL(softmax(target) || softmax(logits))``: the batch's mean, or with ``reduction="none"`` a value per image."""
    divergence = F.kl_div(
        F.log_softmax(at_least_float32(logits), dim=1),
        F.log_softmax(at_least_float32(target), dim=1),
        reduction=reduction,
        log_target=True,
    )
    return divergence.sum(1) if reduction == "none" else divergence


def flooded(losses: Tensor, gathered: Tensor, level: float) -> Tensor:
    """``|L - level| + level`` (Ishida et al. 2020), where ``L`` is the mean loss of the global batch.

    The mean of the ranks' results is the value of the global batch.

    Args:
        losses: the losses of this rank's slice, ``(slice,)``.
        gathered: the losses of the global batch, ``(size,)``, detached.
        level: flood level b.
    """
    sign = (gathered.mean() - level).sign()
    return sign * (losses.mean() - level) + level
