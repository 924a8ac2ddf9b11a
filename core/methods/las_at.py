"""LAS-AT, adversarial training with a learnable attack strategy (Jia et al. 2022), following its official code."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.attacks import Ascent
from core.attacks.base import attack_mode, bounds
from core.attacks.losses import at_least_float32
from core.config import Cell, ModelOptions
from core.config.methods.las_at import RESTARTS
from core.methods.base import Batch, Drawn, Found, Method, Objective, Run
from core.methods.losses import cross_entropy
from core.models import build_model

PIXEL = 1 / 255
"""Difference between neighbouring radii, and between neighbouring step sizes, that the policy can choose."""
MAX_LOSS = 10.0
"""Upper limit of the cross-entropy in the reward."""
CLIPPED_NORM = 1.0
"""Largest norm of a gradient of the policy."""


class Strategy(NamedTuple):
    """The attacks of some images, each ``(n,)``: radius of the ball, number of steps and step size."""

    radius: Tensor
    steps: Tensor
    size: Tensor


class LasAt(Method):
    """Cross-entropy of adversarial images to soft labels; a policy network chooses the attack of every image.

    The policy maps an image to three categorical distributions: of the radius, the number of steps and the step size.
    Training samples from them. Every `policy_interval` batches the policy ascends ``R mean(log pi)``, the mean over
    the global batch and the sum over the three choices, with the reward ``R = R1 + a R2 + b R3``. ``R1`` is the
    cross-entropy of the adversarial images. A copy of the network then makes one step on them, and ``R2`` and ``R3``
    are its accuracies under PGD and on clean images. ``R`` has no baseline, as in the official code. That code's PGD
    for ``R2`` runs in train mode; this one runs in the cell's mode, eval by default.

    Every rank updates the policy by the whole global batch, and the policy is therefore the same on all ranks. Policy
    and reward are computed without autocast.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        options = self.options
        self.choices: tuple[Tensor, ...] = (
            _choices(options.policy_radius_min, options.policy_radius_max, PIXEL),
            _choices(options.policy_steps_min, options.policy_steps_max, 1),
            _choices(options.policy_size_min, options.policy_size_max, PIXEL),
        )

    def build(self, run: Run, generator: torch.Generator) -> None:
        seed = int(torch.randint(2**31, (), generator=generator))
        heads = sum(len(values) for values in self.choices)
        shape = self.cell.data.shape._replace(classes=heads)
        model = ModelOptions(model=self.options.policy_model, norm=self.cell.model.norm)
        device = next(run.model.parameters()).device
        self.choices = tuple(values.to(device) for values in self.choices)
        self.policy = build_model(model, shape, seed).to(device).eval()
        self.optimizer = torch.optim.SGD(self.policy.parameters(), lr=self.options.policy_lr)
        self.updated_model = copy.deepcopy(run.model)

    def draw(self, x: Tensor, y: Tensor, rng: torch.Generator) -> Drawn:
        def numbers() -> Tensor:
            return torch.rand((len(x), len(self.choices)), generator=rng, device=rng.device).to(x.device)

        drawn = super().draw(x, y, rng)
        return {**drawn, "choice": numbers(), "trial": numbers(), "restart": self.inner.start_points(x, rng)}

    @torch.no_grad()
    def attack(self, run: Run, batch: Batch) -> Found:
        chosen = _sampled(self._distributions(batch.x), batch.drawn["choice"])
        return {"x": self._attacked(run, batch, self._strategy(chosen))}

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        adv_logits = run.forward(found["x"])
        ce = soft_cross_entropy(adv_logits, batch.y, self.options.soft_label)
        return Objective(ce, {"ce": ce}, None, adv_logits)

    def step(self, run: Run, batch: Batch) -> Objective:
        if (run.step + 1) % self.options.policy_interval == 0:
            self._update_policy(run, batch)
        return super().step(run, batch)

    def state_dict(self) -> dict[str, Any]:
        return {"policy": self.policy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.policy.load_state_dict(state["policy"])

    def _update_policy(self, run: Run, batch: Batch) -> None:
        """One step of policy gradient ascent (REINFORCE) by the global batch."""
        self.policy.train()
        distributions = self._distributions(run.gather(batch, batch.x))
        self.policy.eval()
        chosen = _sampled([part.detach() for part in distributions], run.gather(batch, batch.drawn["trial"]))
        x_adv = self._attacked(run, batch, self._strategy(chosen[batch.rows]))
        reward = self._reward(run, batch, x_adv)
        parts = zip(distributions, chosen.t(), strict=True)
        taken = torch.stack([part.gather(1, choice[:, None])[:, 0] for part, choice in parts])
        self.optimizer.zero_grad()
        (-taken.sum(0).mean() * reward.to(taken.dtype)).backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), CLIPPED_NORM)
        self.optimizer.step()

    def _reward(self, run: Run, batch: Batch, x_adv: Tensor) -> Tensor:
        """The reward of the global batch's attacks, a scalar on the run's device."""
        self.updated_model.load_state_dict(run.model.state_dict())
        with torch.no_grad(), attack_mode(self.updated_model):
            losses = cross_entropy(self.updated_model(x_adv), batch.y, reduction="none")
        self._look_ahead(run, run.gather(batch, x_adv), run.gather(batch, batch.y))
        robust = _resists(self.inner, self.updated_model, batch)
        with torch.no_grad(), attack_mode(self.updated_model):
            clean = self.updated_model(batch.x).argmax(1) == batch.y
        loss, robust_share, clean_share = (
            run.gather(batch, values.double()).mean() for values in (losses, robust, clean)
        )
        options = self.options
        return loss.clamp(max=MAX_LOSS) + options.reward_robust * robust_share + options.reward_clean * clean_share

    def _look_ahead(self, run: Run, x_adv: Tensor, y: Tensor) -> None:
        """One step of the copied model on the global batch, with the cell's optimiser and without earlier momentum."""
        training, now = self.cell.training, run.optimizer.param_groups[0]
        optimizer = torch.optim.SGD(
            self.updated_model.parameters(),
            lr=now["lr"],
            momentum=now["momentum"],
            nesterov=training.nesterov,
            weight_decay=training.weight_decay,
        )
        self.updated_model.train()
        optimizer.zero_grad()
        soft_cross_entropy(self.updated_model(x_adv), y, self.options.soft_label).backward()
        optimizer.step()

    def _attacked(self, run: Run, batch: Batch, strategy: Strategy) -> Tensor:
        radius = strategy.radius.view(-1, 1, 1, 1).to(batch.x.dtype)
        limits = (batch.x - radius).clamp_(min=0), (batch.x + radius).clamp_(max=1)

        def steer(step: int, _: Tensor) -> Tensor:
            return strategy.size * (step < strategy.steps)

        attack = replace(self.inner, steps=self.options.policy_steps_max)
        how = Ascent(limits=limits, steer=steer)
        return run.perturb(attack, batch.x, batch.y, batch.drawn["start"], how)

    def _distributions(self, x: Tensor) -> list[Tensor]:
        """Log-probabilities of the choices of radius, steps and step size, each ``(n, choices)``."""
        logits = self.policy(x).split([len(values) for values in self.choices], dim=1)
        return [F.log_softmax(part, dim=1) for part in logits]

    def _strategy(self, chosen: Tensor) -> Strategy:
        """The attacks that belong to the chosen indices, ``(n, 3)``."""
        return Strategy(*(values[c] for values, c in zip(self.choices, chosen.t(), strict=True)))


def soft_cross_entropy(logits: Tensor, y: Tensor, share: float) -> Tensor:
    """Mean cross-entropy to the probability ``share`` of the label, the rest of which the other classes share."""
    log_p = F.log_softmax(at_least_float32(logits), dim=1)
    true = log_p.gather(1, y[:, None])[:, 0]
    other = (log_p.sum(1) - true) / (log_p.shape[1] - 1)
    return -(share * true + (1 - share) * other).mean()


def _choices(low: float, high: float, distance: float) -> Tensor:
    return low + distance * torch.arange(int((high - low) / distance + 1e-6) + 1)


def _sampled(log_probabilities: list[Tensor], numbers: Tensor) -> Tensor:
    """Choices ``(n, parts)`` from uniform ``numbers`` in [0, 1) of this shape, by the distribution function."""
    chosen = []
    for part, number in zip(log_probabilities, numbers.t(), strict=True):
        # Torch's sum over columns is not deterministic on a GPU. This one has the bits of that on a CPU.
        below = torch.stack(list(accumulate(part.double().exp().unbind(1))), dim=1)[:, :-1]
        chosen.append((number[:, None] >= below).sum(1))
    return torch.stack(chosen, dim=1)


@torch.no_grad()
def _resists(attack: Any, model: nn.Module, batch: Batch) -> Tensor:
    """For each image, True if it is classified correctly at the strongest of the attack's results, one per start.

    An image that is misclassified stays where it is, as in the official code.
    """

    def steer(_: int, logits: Tensor) -> Tensor:
        return attack.step_size * (logits.argmax(1) == batch.y).double()

    how = Ascent(limits=bounds(batch.x, attack.epsilon), steer=steer)
    losses, correct = [], []
    for start in (batch.drawn["start"], batch.drawn["restart"]):
        x_adv = attack.perturb_from(model, batch.x, batch.y, start, how)
        with attack_mode(model):
            logits = model(x_adv)
        losses.append(cross_entropy(logits, batch.y, reduction="none"))
        correct.append(logits.argmax(1) == batch.y)
    assert len(losses) == RESTARTS
    strongest = torch.stack(losses).argmax(0, keepdim=True)
    return torch.stack(correct).gather(0, strongest)[0]
