"""One measure of a checkpoint, with all settings that affect its result."""

from __future__ import annotations

from core.config import Cell, ProtocolOptions, digest
from core.config.base import Options
from core.evaluation.measures.names import MEASURES, MeasureName
from core.evaluation.options import EvaluationOptions


class MeasureSpec(Options):
    """A measure, whose `key` identifies its stored results."""

    name: MeasureName
    epsilon: float
    steps: int | None
    """Steps of the attack or of the search; None for one step of FGSM."""
    step_fraction: float | None
    seed: int
    """Seed of the directions of a weight landscape, which all blocks share."""

    @property
    def key(self) -> str:
        """Identity of stored results."""
        return f"{self.name}-{digest(self.model_dump(mode='json'))}"


def measure_plan(options: EvaluationOptions, cell: Cell, protocol: ProtocolOptions) -> tuple[MeasureSpec, ...]:
    """The measures of an evaluation at the radius of the checkpoint's cell."""
    return tuple(
        MeasureSpec(
            name=name,
            epsilon=cell.attack.epsilon,
            steps=options.measure_steps if MEASURES[name].attack == "pgd" else MEASURES[name].steps,
            step_fraction=protocol.eval_step_fraction if MEASURES[name].attack == "pgd" else None,
            seed=options.seed,
        )
        for name in dict.fromkeys(options.measure)
    )
