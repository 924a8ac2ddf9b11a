"""Stable single-step adversarial training (Kim et al. 2021), following its official code."""

from __future__ import annotations

import torch
from torch import Tensor

from core.attacks import Ascent
from core.attacks.line_search import first_misclassified
from core.methods.base import Batch, Found, Run
from core.methods.pgd_at import PgdAt


class Ssat(PgdAt):
    """``CE(f(x_adv), y)`` at the smallest of c parts of an RS-FGSM perturbation that fools the network.

    Images ``x + k / c delta`` are tested in eval mode for k from 1 to c - 1, and the first that is misclassified is
    trained on. The whole perturbation ``delta`` is used where none is misclassified. An image whose random start is
    misclassified is trained on without perturbation. This test reuses the logits of the attack's only step.
    """

    def attack(self, run: Run, batch: Batch) -> Found:
        correct = torch.zeros(len(batch.y), dtype=torch.bool, device=batch.y.device)

        def test(_: int, logits: Tensor) -> None:
            correct.copy_(logits.argmax(1) == batch.y)

        x_adv = run.perturb(self.inner, batch.x, batch.y, batch.drawn["start"], Ascent(steer=test))
        x_adv = first_misclassified(run.predict, batch.x, x_adv, batch.y, self.options.checkpoints)
        return {"x": torch.where(correct[:, None, None, None], x_adv, batch.x)}
