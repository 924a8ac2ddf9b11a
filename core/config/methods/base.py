"""The base of all methods' options, and the number of passes through the network that a method declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from core.config.base import Options
from core.config.over_epochs import plain

if TYPE_CHECKING:
    from core.config.attack import AwpOptions, InnerAttackOptions


IMAGE_BACKWARD = 1
"""Cost in forwards of a backward that computes only the gradient of the images."""
WEIGHT_BACKWARD = 2
"""Cost in forwards of a full backward, which computes the gradients of the activations and of the weights."""


class Passes(NamedTuple):
    """Passes of one batch through the network; a fraction where not every batch has the pass.

    A gradient pass is a forward with its backward: clean training has 1 per batch, and PGD adversarial training with K
    steps has K + 1.

    Attributes:
        forwards: forward passes.
        image_backwards: backward passes that compute the gradient by the images alone.
        weight_backwards: backward passes that compute the gradient by the weights.
    """

    forwards: float = 0
    image_backwards: float = 0
    weight_backwards: float = 0

    def plus(self, other: Passes) -> Passes:
        """The sum of both numbers of passes."""
        return Passes(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def gradient_passes(self) -> float:
        """Number of gradient passes. A second backward through one forward counts as a pass."""
        return self.image_backwards + self.weight_backwards

    @property
    def lone_forwards(self) -> float:
        """Number of forwards without a backward."""
        return max(0, self.forwards - self.gradient_passes)

    @property
    def in_forwards(self) -> float:
        """Operations of the passes in those of one forward."""
        return self.forwards + IMAGE_BACKWARD * self.image_backwards + WEIGHT_BACKWARD * self.weight_backwards

    @property
    def times_clean(self) -> float:
        """Operations of the passes in those of a step of clean training."""
        return self.in_forwards / CLEAN_TRAINING.in_forwards

    def times(self, factor: float) -> Passes:
        """The passes multiplied by ``factor``."""
        return Passes(*(factor * mine for mine in self))


CLEAN_TRAINING = Passes(1, 0, 1)
"""Passes of a step of training without an attack."""


class MethodOptions(Options):
    """The options of a training method, and its declarations about options of other parts.

    A new method needs a subclass with ``method: Literal["its-name"]`` and a row in `core.config.methods.registry`. An
    option of several methods has the same meaning in all of them, but its default may differ.
    """

    method: str = Field("trades", description="training method")

    counted_before: ClassVar[Mapping[str, Any]] = {}
    """Options without effect that cells of the method had in earlier versions, with their defaults.

    They still count in a cell's id."""
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Options in `part_defaults` that cannot be changed with this method."""
    differentiates_twice: ClassVar[bool] = False
    """True if the objective contains a gradient, which ``torch.compile`` cannot differentiate."""
    smooths_labels: ClassVar[bool] = False
    """True if the objective uses `core.methods.Method.cross_entropy`, which ``label_smoothing`` smooths."""

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """Defaults of the method's publication for the inner attack and the weight perturbation.

        Args:
            epsilon: radius of the training attack. Some defaults are relative to it.
        """
        return {}

    def check_attack(self, attack: InnerAttackOptions) -> None:
        """Check the options of the inner attack.

        Raises:
            ValueError: the method cannot use this attack.
        """

    @property
    def is_second_order(self) -> bool:
        """True if the weights follow the gradient of a gradient. In fp16 no step of it is finite at any loss scale."""
        return False

    @property
    def updates_per_batch(self) -> int:
        """Number of weight updates per batch."""
        return 1

    def attack_passes(self, attack: InnerAttackOptions) -> Passes:
        """Passes of the inner attack on one batch, in an epoch."""
        steps = plain(attack.attack_steps)
        return Passes(steps + (attack.inner == "kl"), steps)

    def objective_passes(self) -> Passes:
        """Passes of one evaluation of the objective and its backward."""
        raise NotImplementedError(f"{type(self).__name__} does not define objective_passes")

    def ascent_passes(self) -> Passes:
        """Passes of one evaluation and backward of the loss that AWP ascends."""
        return self.objective_passes()

    def losses_passes(self) -> Passes:
        """Passes of one evaluation and backward of the images' losses that RWP ascends."""
        return Passes(1, 0, 1)

    def step_passes(self, attack: InnerAttackOptions, weights: AwpOptions) -> Passes:
        """All passes of one batch, in an epoch with these options; a radius of 0 perturbs no weights."""
        update = self.objective_passes()
        if plain(weights.rwp_radius) > 0:
            update = update.plus(self.losses_passes().times(weights.rwp_steps))
        elif plain(weights.awp_radius) > 0:
            update = update.plus(self.ascent_passes())
        return self.attack_passes(attack).plus(update.times(self.updates_per_batch))


def options_of(method: type[MethodOptions]) -> dict[str, Any]:
    """Names and fields of a method's options, except ``method``."""
    return {name: info for name, info in method.model_fields.items() if name != "method"}
