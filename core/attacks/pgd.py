"""Projected gradient descent and its special cases: FGSM, TPGD, targeted PGD, l-infinity C&W, restarts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from core.attacks.base import BnMode, SharedAttack, attack_mode, bounds, forward, gaussian, image_gradient, uniform
from core.attacks.losses import (
    AttackLoss,
    LogitGradient,
    cross_entropy,
    kl_from,
    target_cross_entropy,
    total_margin,
)
from core.attacks.targets import least_likely_targets, random_targets

Steer = Callable[[int, Tensor], Tensor | None]
"""Called before each step with the step's number and the logits of the current images.

It returns the step size of every image, ``(n,)``, where 0 keeps an image unchanged, or None for `Pgd.step_size`."""
Follow = Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]
"""Called with (model, images) before each step; returns the logits at the images and the direction of the step."""
Observer = Callable[[int, Tensor, Tensor], None]
"""Called before each step with the step's number, the current images and their per-sample gradients."""


class Ascent(NamedTuple):
    """What one ascent of `Pgd.perturb_from` does otherwise than the attack's options say. None: nothing.

    Attributes:
        gradient: logit gradient of the loss that is ascended instead of `Pgd.loss`.
        limits: lowest and highest images allowed, instead of the ball's intersection with the box.
        steer: chooses step sizes image by image.
        noise: ``(n, steps, C, H, W)``, added at each step, before the projection, to the images that ``steer`` does not
            hold.
        follow: the direction of each step, for a loss that is no function of the logits alone; replaces ``gradient``.
    """

    gradient: LogitGradient | None = None
    limits: tuple[Tensor, Tensor] | None = None
    steer: Steer | None = None
    noise: Tensor | None = None
    follow: Follow | None = None


USUAL = Ascent()
"""The ascent that the attack's options describe."""


@dataclass(frozen=True, kw_only=True)
class Pgd(SharedAttack):
    """Sign-gradient ascent, projected to the ball and then to the box (Madry et al. 2018).

    ``loss="kl"`` with the Gaussian start is the inner maximisation of TRADES (Zhang et al. 2019, official code), which
    does not clamp the start before the first step. The clean logits are computed once. They do not change over the
    steps: neither in eval mode nor with ``bn_mode="train"``, where they depend on the statistics of the clean batch.

    With restarts, an image that was misclassified after a run keeps the result of that run. Only the other images are
    attacked again.
    """

    step_size: float
    steps: int
    loss: AttackLoss = "ce"
    start: Literal["gaussian", "uniform", "rademacher", "none"] = "gaussian"
    """First images of the ascent.

    ``gaussian`` is ``x + start_scale * N(0, 1)``. ``uniform`` is uniform in the ball and clamped to the box.
    ``rademacher`` is ``x`` plus or minus ``rademacher_scale`` per pixel, clamped to the box. ``none`` is ``x``."""
    start_scale: float = 0.001
    rademacher_scale: float = 0.0
    target: Literal["none", "random", "least-likely"] = "none"
    """Class whose cross-entropy is minimised, if any. A target requires ``loss="ce"``."""
    restarts: int = 1
    bn_mode: BnMode = "eval"
    loss_scale: float = 1.0
    """Factor of the loss, against underflow of gradients under fp16 autocast.

    It has no other effect, because steps depend only on the signs of gradients. Observers get the scaled gradient."""

    def __post_init__(self) -> None:
        if self.target != "none" and self.loss != "ce":
            raise ValueError(f"loss {self.loss} is impossible with target {self.target}; allowed: ce")

    @torch.no_grad()
    def perturb_rows(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator, rows: Tensor | None) -> Tensor:
        """Adversarial images, see `SharedAttack.perturb_rows`."""
        goal = y if rows is None else y[rows]
        with attack_mode(model, self.bn_mode):
            result = self._attack_all(model, x, y, rng, None, rows)
            for _ in range(self.restarts - 1):
                alive = (forward(model, result, self.batch_size).argmax(1) == goal).nonzero()[:, 0]
                if len(alive) == 0:
                    break
                # Numbers are drawn for all images, so that those of an image do not depend on other images' results.
                result[alive] = self._attack_all(model, x, y, rng, None, alive if rows is None else rows[alive])
        return result

    @torch.no_grad()
    def run(
        self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator, observe: Observer | None = None
    ) -> Tensor:
        """One run without restarts, in which ``observe`` is called before each step.

        ``observe(step, x_step, gradient)`` gets, for steps 0 to ``steps - 1``, the images and the gradient of each
        image's loss. With a ``batch_size`` below ``len(x)`` all steps of one part are observed before those of the
        next part.
        """
        with attack_mode(model, self.bn_mode):
            return self._attack_all(model, x, y, rng, observe)

    @torch.no_grad()
    def perturb_from(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        start: Tensor,
        how: Ascent = USUAL,
        observe: Observer | None = None,
    ) -> Tensor:
        """One ascent from given first images, without restarts.

        Args:
            model: see `Attack.perturb`.
            x: centre of the ball.
            y: labels; with a ``target``, the target classes.
            start: first images, of the shape of ``x``, such as those of `start_points`.
            how: what this ascent does otherwise than the attack's options say.
            observe: see `run`.
        """
        with attack_mode(model, self.bn_mode):
            follow = how.follow or partial(image_gradient, ascent=how.gradient or self._ascent(model, x, y))
            limits = how.limits or bounds(x, self.epsilon)
            return self._steps(model, start, limits, follow, observe, how.steer, how.noise)

    def _attack_all(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        rng: torch.Generator,
        observe: Observer | None,
        subset: Tensor | None = None,
    ) -> Tensor:
        start = self.start_points(x, rng)
        goal = y
        if self.target == "random":
            goal = random_targets(y, _classes(model, x), rng)
        elif self.target == "least-likely":
            goal = least_likely_targets(y, forward(model, x, self.batch_size))
        if subset is not None:
            x, start, goal = x[subset], start[subset], goal[subset]
        size = self.batch_size or len(x)
        parts = []
        for x_part, start_part, goal_part in zip(x.split(size), start.split(size), goal.split(size), strict=True):
            follow = partial(image_gradient, ascent=self._ascent(model, x_part, goal_part))
            parts.append(self._steps(model, start_part, bounds(x_part, self.epsilon), follow, observe))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def start_points(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """First images of an ascent around ``x``. Every restart draws new ones."""
        if self.start == "gaussian":
            return torch.add(x, gaussian(x, rng), alpha=self.start_scale)
        if self.start == "uniform":
            return uniform(x, rng).mul_(self.epsilon).add_(x).clamp_(0, 1)
        if self.start == "rademacher":
            return torch.where(uniform(x, rng) < 0, x - self.rademacher_scale, x + self.rademacher_scale).clamp_(0, 1)
        return x.detach()

    def _ascent(self, model: nn.Module, x: Tensor, goal: Tensor) -> LogitGradient:
        if self.loss == "kl":
            return kl_from(model(x), self.loss_scale)
        if self.loss == "margin":
            return total_margin(goal, self.loss_scale)
        return (cross_entropy if self.target == "none" else target_cross_entropy)(goal, self.loss_scale)

    def _steps(
        self,
        model: nn.Module,
        x_adv: Tensor,
        limits: tuple[Tensor, Tensor],
        follow: Follow,
        observe: Observer | None,
        steer: Steer | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        for step in range(self.steps):
            logits, gradient = follow(model, x_adv)
            if observe is not None:
                observe(step, x_adv, gradient)
            sizes = steer(step, logits) if steer else None
            if sizes is None:
                x_adv = torch.add(x_adv, gradient.sign(), alpha=self.step_size)
            else:
                sizes = sizes.to(x_adv.dtype).view(-1, *(1,) * (x_adv.dim() - 1))
                x_adv = torch.addcmul(x_adv, gradient.sign(), sizes)
            if noise is not None:
                x_adv += noise[:, step] if sizes is None else noise[:, step] * (sizes != 0)
            x_adv.clamp_(*limits)
        return x_adv


def _classes(model: nn.Module, x: Tensor) -> int:
    return model(x[:1]).shape[1]
