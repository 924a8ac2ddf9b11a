"""AutoAttack's Square, run by the library `pyautoattack`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.attacks.base import Attack, attack_mode, forward


@dataclass(frozen=True, kw_only=True)
class AutoAttackSquare(Attack):
    """Square with the settings of AutoAttack (Croce and Hein 2020b).

    It differs from `Square` in two ways, and is mostly weaker. The schedule of the squares' side is that of 10,000
    queries, whatever the number of queries, and the squares never touch the last row and the last column. All images
    share one square per query. Images that the model already misclassifies, and those that no query fools, are returned
    unchanged.
    """

    queries: int
    """Largest number of model evaluations per image after that of the start."""

    @torch.no_grad()
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Adversarial images, see `Attack.perturb`."""
        from pyautoattack.square import SquareAttack  # imported late, because only verdicts of published labels need it

        if len(x) == 0:
            return x.clone()
        attack = SquareAttack(
            lambda images: forward(model, images, self.batch_size),
            n_queries=self.queries,
            eps=self.epsilon,
            seed=int(torch.randint(2**31, (1,), generator=rng, device=rng.device)),
            resc_schedule=False,
            device=x.device,
        )
        # the library seeds the global generators
        with attack_mode(model), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            return attack.perturb(x, y)
