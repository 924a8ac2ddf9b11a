"""PGD adversarial training (Madry et al. 2018); with one step of size epsilon it is FGSM-AT."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from core.attacks.losses import at_least_float32
from core.methods.base import Method, Objective


class PgdAt(Method):
    """``CE(f(x_adv), y)``: only adversarial images are trained on."""

    def objective(self, model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> Objective:
        adv_logits = model(x_adv)
        ce = F.cross_entropy(at_least_float32(adv_logits), y)
        return Objective(ce, {"ce": ce}, None, adv_logits)
