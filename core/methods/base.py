"""The contract of a training method, and the part of the engine that a method may use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from core.attacks import Ascent, Pgd
from core.attacks.pgd import USUAL
from core.config import Cell
from core.config.over_epochs import plain
from core.methods.losses import cross_entropy

FP16_ATTACK_SCALE = 1024.0
"""Factor of the attack's loss under fp16. With it, fp16 represents gradients between 1e-7 and 60."""
Drawn = dict[str, Tensor]
"""Random numbers of a batch by name, with one row per image."""
Found = dict[str, Tensor]
"""Results of a method's attack by name, with one row per image: adversarial images ``x``, and further values."""


class Batch(NamedTuple):
    """One rank's slice of a global batch.

    Attributes:
        x: images, (slice, channels, height, width), floats in [0, 1]. Unclamped healing noise may exceed this range.
        y: labels, (slice,).
        drawn: random numbers of the slice's images, by name.
        weight: factor of the slice's mean loss. With these factors the mean over ranks is the global batch's mean. The
            weight is 0 on a rank without images, which occurs if the global batch has fewer images than there are
            ranks. The slice then contains the first image of the global batch.
        rows: rows of the slice in the global batch.
        size: number of images in the global batch.
        number: 0-based number of the batch in its epoch.
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
        parts: weighted summands of ``total`` by name, such as ``ce`` and ``kl``. They have gradients for probes.
        clean_logits: logits of the clean batch, (batch, classes), or None if the method does not compute them.
        adv_logits: logits of the adversarial batch, (batch, classes).
    """

    total: Tensor
    parts: dict[str, Tensor]
    clean_logits: Tensor | None
    adv_logits: Tensor


class Optimizer(Protocol):
    """The part of an optimiser that a method may use, in the form of torch's optimisers."""

    param_groups: list[dict[str, Any]]
    state: dict[nn.Parameter, dict[str, Tensor]]


class Run(Protocol):
    """The part of the engine that a method may use. The `Trainer` of a rank implements it."""

    cell: Cell
    model: nn.Module
    """The bare network. Its tensors change in place and are never replaced by other tensors."""
    epoch: int
    """1-based number of the epoch."""
    step: int
    """Global 0-based number of the batch."""
    steps_per_epoch: int

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser of the network's weights."""

    def perturb(self, attack: Pgd, x: Tensor, y: Tensor, start: Tensor, how: Ascent = USUAL) -> Tensor:
        """`Pgd.perturb_from` on the fastest form of the network, in the precision of the attack."""

    def predict(self, x: Tensor) -> Tensor:
        """Logits in eval mode without gradient, as an attack sees them."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits in train mode at the current weights, which `descend` perturbs if the cell uses AWP or RWP."""

    def unperturbed(self, x: Tensor) -> Tensor:
        """Logits in train mode at the weights without their perturbation. BatchNorm statistics do not change.

        Gradients by these weights are added to those of the network's weights. One backward can therefore use these
        logits and those of `forward` together.
        """

    def descend(self, batch: Batch, found: Found) -> Objective:
        """Update the weights once: perturbation (AWP, RWP), objective, backward, sum over ranks, update."""

    def restart_average(self) -> None:
        """Forget the average of the weights, because the next weights do not continue those before them."""

    def gather(self, batch: Batch, values: Tensor) -> Tensor:
        """Values of all images of the global batch, ``(size, ...)``, detached, from each rank's ``(slice, ...)``."""


class Method(ABC):
    """A method of adversarial training.

    `draw`, `attack`, `objective`, `ascent` and `losses` are pure functions of the weights, the batch and the method's
    state. A probe may call them again. `step`, `update`, `build`, `begin_epoch` and `end_epoch` may change weights and
    state. Changes must be made in place and must be the same on every rank. Means over a batch are means over the
    slice. If an objective is not a mean over images, `Run.gather` provides the values of the global batch.
    """

    def __init__(self, cell: Cell) -> None:
        self.enter(cell.in_epoch(1))

    def enter(self, cell: Cell) -> None:
        """Take the options of an epoch. The engine calls it before `begin_epoch`.

        Args:
            cell: the trial's cell in that epoch, see `core.config.Cell.in_epoch`.
        """
        options = cell.attack
        self.cell = cell
        self.options: Any = cell.method
        self.inner = Pgd(
            epsilon=plain(options.training_radius),
            step_size=plain(options.attack_step_size),
            steps=int(plain(options.attack_steps)),
            loss=options.inner,
            start=options.attack_start,
            rademacher_scale=options.rademacher_share * plain(options.training_radius),
            bn_mode=options.attack_bn,
            loss_scale=FP16_ATTACK_SCALE if cell.training.precision == "fp16" else 1.0,
        )

    @property
    def smoothing(self) -> float:
        """The label smoothing of the objective, from 0 to below 1."""
        return plain(self.cell.training.label_smoothing)

    def cross_entropy(self, logits: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy to the labels as a term of the objective, smoothed as the cell says."""
        return cross_entropy(logits, y, reduction, self.smoothing)

    def draw(self, x: Tensor, y: Tensor, rng: torch.Generator) -> Drawn:
        """Draw the random numbers of a global batch. The engine slices them for the ranks."""
        return {"start": self.inner.start_points(x, rng)}

    def attack(self, run: Run, batch: Batch) -> Found:
        """Adversarial images of a batch."""
        return {"x": run.perturb(self.inner, batch.x, batch.y, batch.drawn["start"])}

    @abstractmethod
    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        """The loss of a batch, given the results of the attack."""

    def ascent(self, run: Run, batch: Batch, found: Found) -> Tensor:
        """The loss that AWP ascends, a scalar mean over the batch."""
        return self.objective(run, batch, found).total

    def losses(self, run: Run, batch: Batch, found: Found) -> Tensor:
        """The images' losses, ``(n,)``, that RWP ascends: the adversarial cross-entropy."""
        return self.cross_entropy(run.forward(found["x"]), batch.y, reduction="none")

    def step(self, run: Run, batch: Batch) -> Objective:
        """Train on one batch."""
        return run.descend(batch, self.attack(run, batch))

    def update(self, run: Run, scaler: torch.amp.GradScaler) -> None:
        """Update the weights by their gradients, which are those of the global batch and are scaled by ``scaler``."""
        scaler.step(run.optimizer)  # type: ignore[arg-type]  # it uses the groups and step()

    @property
    def scheduled_epochs(self) -> int:
        """Number of epochs that the schedule of the learning rate covers, from the first one on."""
        return self.cell.training.epochs

    def learning_rate(self, scheduled: float) -> float:
        """The learning rate of an update, given that of the schedule."""
        return scheduled

    def build(self, run: Run, generator: torch.Generator) -> None:  # noqa: B027 - most methods have nothing to do
        """Create the method's own networks and buffers. The engine calls it once, before it loads any state.

        Args:
            run: the engine.
            generator: generator on the CPU, from the trial's ``init`` stream.
        """

    def begin_epoch(self, run: Run) -> None:  # noqa: B027 - most methods have nothing to do
        """The engine calls it on every rank before each epoch."""

    def end_epoch(self, run: Run) -> None:  # noqa: B027 - most methods have nothing to do
        """The engine calls it on every rank after each epoch. Afterwards `state_dict` must be equal on all ranks."""

    def state_dict(self) -> dict[str, Any]:
        """The state that a checkpoint must contain for a bit-identical continuation, unless it is in `artifacts`."""
        return {}

    def artifacts(self) -> dict[str, Tensor]:
        """Large state by name, which belongs to a checkpoint and is stored apart from it.

        The content of a name never changes: it is written once, and deleted after a checkpoint that lacks the name.
        """
        return {}

    def load_artifacts(self, artifacts: dict[str, Tensor]) -> None:  # noqa: B027 - most methods have nothing to do
        """Restore the artifacts of a checkpoint, after `load_state_dict`. The tensors are on the CPU."""

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - most methods have nothing to do
        """Restore a state that was returned by `state_dict`."""
