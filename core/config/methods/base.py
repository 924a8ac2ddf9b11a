"""What the options of every training method share, and how many passes through the network a method declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from core.config.base import Options

if TYPE_CHECKING:
    from core.config.attack import InnerAttackOptions


class Passes(NamedTuple):
    """Passes of one batch through the network.

    Attributes:
        forwards: forward passes.
        image_backwards: backward passes that compute the gradient by the images alone.
        weight_backwards: backward passes that compute the gradient by the weights.
    """

    forwards: int = 0
    image_backwards: int = 0
    weight_backwards: int = 0

    def plus(self, other: Passes) -> Passes:
        """The passes of both."""
        return Passes(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def times(self, factor: int) -> Passes:
        """The same passes ``factor`` times."""
        return Passes(*(factor * mine for mine in self))


class MethodOptions(Options):
    """The options that a training method alone has, and what the method says of the others.

    A method declares a subclass with ``method: Literal["its-name"]`` and a row in `core.config.methods.registry`. An
    option that several methods have means the same in all of them; its default may differ.
    """

    method: str = Field("trades", description="training method")

    counted_before: ClassVar[Mapping[str, Any]] = {}
    """Options that cells of the method carried without effect in earlier versions, with their defaults: they still
    count in a cell's id."""
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Options among `part_defaults` that the method doesn't let anyone change."""
    differentiates_twice: ClassVar[bool] = False
    """Does the objective contain a gradient? ``torch.compile`` can't differentiate one."""

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """Defaults of the inner attack and the weight perturbation that the method's publication has.

        Args:
            epsilon: radius of the threat model, for defaults that are relative to it.
        """
        return {}

    def check_attack(self, attack: InnerAttackOptions) -> None:
        """Refuse an inner attack that the method can't use.

        Raises:
            ValueError: it is one.
        """

    @property
    def updates_per_batch(self) -> int:
        """How often a batch is descended on: its replays."""
        return 1

    def attack_passes(self, attack: InnerAttackOptions) -> Passes:
        """Passes of the inner attack on one batch."""
        return Passes(attack.attack_steps + (attack.inner == "kl"), attack.attack_steps)

    def objective_passes(self) -> Passes:
        """Passes of the objective and its descent, once."""
        raise NotImplementedError

    def ascent_passes(self) -> Passes:
        """Passes of what a weight perturbation ascends, once."""
        return self.objective_passes()

    def step_passes(self, attack: InnerAttackOptions, *, perturbs_weights: bool) -> Passes:
        """All passes of one batch."""
        update = self.objective_passes()
        if perturbs_weights:
            update = update.plus(self.ascent_passes())
        return self.attack_passes(attack).plus(update.times(self.updates_per_batch))


def options_of(method: type[MethodOptions]) -> dict[str, Any]:
    """Names and fields of the options that the method itself has, without its name."""
    return {name: info for name, info in method.model_fields.items() if name != "method"}
