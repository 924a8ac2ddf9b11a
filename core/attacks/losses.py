"""What an attack ascends: functions of the adversarial logits, summed over the batch.

Sums, not means: the gradient at an image is then its own, whatever the batch size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AttackLoss = Literal["ce", "kl", "margin"]
Objective = Callable[[Tensor], Tensor]
"""Logits ``[n, classes]`` to a scalar, to be maximised."""


def at_least_float32(logits: Tensor) -> Tensor:
    """Logits in a precision in which a loss may be computed, whatever autocast made of them."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Best wrong logit minus the true one, ``[n]``; positive where the image is misclassified."""
    true = logits.gather(1, y[:, None])
    others = logits.scatter(1, y[:, None], -torch.inf)
    return others.amax(1) - true[:, 0]


def cross_entropy(y: Tensor) -> Objective:
    """Cross-entropy to the labels."""
    return lambda logits: F.cross_entropy(logits, y, reduction="sum")


def target_cross_entropy(target: Tensor) -> Objective:
    """Minus the cross-entropy to target classes."""
    return lambda logits: -F.cross_entropy(logits, target, reduction="sum")


def kl_from(clean_logits: Tensor) -> Objective:
    """``KL(softmax(clean) || softmax(adversarial))``, TRADES' inner loss (Zhang et al. 2019)."""
    clean = F.softmax(at_least_float32(clean_logits), dim=1)
    return lambda logits: F.kl_div(F.log_softmax(at_least_float32(logits), dim=1), clean, reduction="sum")


def total_margin(y: Tensor) -> Objective:
    """Carlini and Wagner's (2017) f6 without its floor: the best wrong logit minus the true one."""
    return lambda logits: margin(logits, y).sum()
