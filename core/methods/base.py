"""What a training method is, and what the engine lends it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from core.attacks import Pgd
from core.attacks.losses import LogitGradient
from core.attacks.pgd import Steer
from core.config import Cell

FP16_ATTACK_SCALE = 1024.0
"""Attack gradients of 1e-7 to 60 fit into fp16 with it."""
Drawn = dict[str, Tensor]
"""Random numbers of a batch by name, a row per image."""
Found = dict[str, Tensor]
"""What a method's attack found: adversarial images ``x``, and whatever else its objective needs, a row per image."""


class Batch(NamedTuple):
    """One rank's slice of a global batch.

    Attributes:
        x: (slice, channels, height, width), floats in [0, 1] (healing noise may leave them, if not clamped).
        y: (slice,) labels.
        drawn: random numbers of the slice's images, by name.
        weight: factor on the slice's mean loss that makes the mean over ranks the global batch's mean. It is 0 where a
            global batch has fewer images than ranks: a rank without an image of its own then sees the first one.
        rows: the slice's place in the global batch.
        size: images of the global batch.
        number: 0-based place of the batch in its epoch.
    """

    x: Tensor
    y: Tensor
    drawn: Drawn
    weight: float
    rows: slice
    size: int
    number: int


class Objective(NamedTuple):
    """The loss of one batch.

    Attributes:
        total: scalar that the step minimises, a mean over the batch.
        parts: its summands by name (``ce``, ``kl``, weights included), on the graph: their gradients can be probed.
        clean_logits: (batch, classes), or None where the method never sees the clean batch.
        adv_logits: (batch, classes).
    """

    total: Tensor
    parts: dict[str, Tensor]
    clean_logits: Tensor | None
    adv_logits: Tensor


class Run(Protocol):
    """What the engine lends a method while it trains; the `Trainer` of one rank implements it."""

    cell: Cell
    model: nn.Module
    """The bare network. Its tensors change in place; none is ever replaced by another."""
    optimizer: torch.optim.Optimizer
    epoch: int
    """1-based."""
    step: int
    """Global number of the batch, 0-based."""
    steps_per_epoch: int

    def perturb(
        self,
        attack: Pgd,
        x: Tensor,
        y: Tensor,
        start: Tensor,
        *,
        ascent: LogitGradient | None = None,
        limits: tuple[Tensor, Tensor] | None = None,
        steer: Steer | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """`Pgd.perturb_from` on the network as fast as it goes, in the attack's precision."""

    def predict(self, x: Tensor) -> Tensor:
        """Logits in eval mode without gradient, as an attack sees them."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits in train mode, at the weights that are descended from: the perturbed ones, if there are any."""

    def unperturbed(self, x: Tensor) -> Tensor:
        """Logits in train mode at the weights without their perturbation; BatchNorm statistics stay as they are.

        A gradient by these weights is one by the network's: both kinds of logits take one backward together.
        """

    def descend(self, batch: Batch, found: Found) -> Objective:
        """One update of the weights: perturb them if asked, objective, backward, sum over ranks, `Method.update`."""

    def everyone(self, batch: Batch, values: Tensor) -> Tensor:
        """Values of all images of the global batch, ``(size, ...)``, from each rank's ``(slice, ...)``; no gradient."""


class Method(ABC):
    """One way of adversarial training.

    `draw`, `attack`, `objective` and `ascent` are pure: functions of the weights, the batch and the method's state,
    which a probe may call again. `step`, `update`, `build`, `begin_epoch` and `end_epoch` may change weights and state,
    in place, and the same way on every rank. Means over a batch are means over the slice; where an objective is not a
    mean over images, `Run.everyone` has the global batch.
    """

    def __init__(self, cell: Cell) -> None:
        options = cell.attack
        self.cell = cell
        self.options: Any = cell.method
        self.inner = Pgd(
            epsilon=options.epsilon,
            step_size=options.attack_step_size,
            steps=options.attack_steps,
            loss=options.inner,
            start=options.attack_start,
            rademacher_scale=options.rademacher_share * options.epsilon,
            bn_mode=options.attack_bn,
            loss_scale=FP16_ATTACK_SCALE if cell.training.precision == "fp16" else 1.0,
        )

    def draw(self, x: Tensor, y: Tensor, rng: torch.Generator) -> Drawn:
        """Random numbers of a global batch; the engine slices them for its ranks."""
        return {"start": self.inner.start_points(x, rng)}

    def attack(self, run: Run, batch: Batch) -> Found:
        """Adversarial images of a batch."""
        return {"x": run.perturb(self.inner, batch.x, batch.y, batch.drawn["start"])}

    @abstractmethod
    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        """The loss of a batch that was attacked."""

    def ascent(self, run: Run, batch: Batch, found: Found) -> Tensor:
        """What a weight perturbation ascends: a scalar, a mean over the batch."""
        return self.objective(run, batch, found).total

    def step(self, run: Run, batch: Batch) -> Objective:
        """Train on a batch."""
        return run.descend(batch, self.attack(run, batch))

    def update(self, run: Run, scaler: torch.amp.GradScaler) -> None:
        """Move the weights by their gradients, which are the global batch's, scaled by ``scaler``."""
        scaler.step(run.optimizer)

    def build(self, run: Run, generator: torch.Generator) -> None:  # noqa: B027 - most methods have nothing to do
        """Make networks and buffers of the method's own, once, before the first epoch and before any state is loaded.

        Args:
            run: the engine.
            generator: on the CPU, of the trial's ``init`` stream.
        """

    def begin_epoch(self, run: Run) -> None:  # noqa: B027 - most methods have nothing to do
        """Called on every rank before an epoch."""

    def end_epoch(self, run: Run) -> None:  # noqa: B027 - most methods have nothing to do
        """Called on every rank after an epoch; afterwards `state_dict` is the same on all of them."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold for the method to go on bit for bit."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - most methods have nothing to do
        """Take over a state that `state_dict` gave."""
