"""How a sweep's number of seeds was planned, and whether the plan changed after results could be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import Field

from core.allocation.goal import AllocationGoal
from core.allocation.sequential_design import SequentialDesign, sequential_design
from core.config.base import Number, Options


class SweepPlan(Options):
    """What decides the number of trials: fixed numbers, or an adaptive goal. Budgets are no part of it."""

    seeds: dict[str, int] = Field(default_factory=dict, description="cell id -> fixed number of trials")
    until_width: Number | None = None
    until_decided: Number | None = None
    indifference: Number | None = None
    adaptive: bool = False
    first_seed: int = Field(0, description="first seed of an adaptive sweep's cells")

    @classmethod
    def of(cls, seeds: dict[str, int], goal: AllocationGoal | None, first_seed: int = 0) -> SweepPlan:
        """The plan of a fixed sweep with these numbers of trials, or of an adaptive sweep with this goal and seed."""
        if goal is None:
            return cls(seeds=seeds)
        return cls(
            first_seed=first_seed,
            until_width=goal.until_width,
            until_decided=goal.until_decided,
            indifference=goal.indifference,
            adaptive=True,
        )

    @property
    def goal(self) -> AllocationGoal | None:
        """The certainty goal, without a budget; None without one."""
        if self.until_width is None and self.until_decided is None:
            return None
        return AllocationGoal(**self.model_dump(exclude={"seeds", "adaptive", "first_seed"}), max_trials=1)


def revised_plans(plans: Sequence[SweepPlan], new: SweepPlan, *, looked: bool) -> list[SweepPlan]:
    """The history of a sweep's plans, with a new one.

    A plan that changes nothing is not noted again, and one that is made before any result replaces the earlier ones.
    New cells, and fewer seeds than there are already, do not change the plan of a cell.

    Args:
        plans: the history so far; for a sweep with results whose plans are not stored, what its files show of them.
        new: the plan of the run that begins now.
        looked: whether any trial has ended.
    """
    if not looked:
        return [new]
    last = plans[-1]
    if new.adaptive or last.adaptive:
        return list(plans) if new == last else [*plans, new]
    if any(count > last.seeds.get(cell, count) for cell, count in new.seeds.items()):
        return [*plans, new.model_copy(update={"seeds": _larger(last.seeds, new.seeds)})]
    return [*plans[:-1], last.model_copy(update={"seeds": _larger(last.seeds, new.seeds)})]


def _larger(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {cell: max(one.get(cell, 0), other.get(cell, 0)) for cell in one | other}


@dataclass(frozen=True)
class SeedHistory:
    """What is known of how a sweep's seeds were chosen.

    Attributes:
        first_seed: smallest seed of the sweep; None if it is not known.
        plans: all plans of the sweep, see `revised_plans`; none for sweeps of versions that did not store them.
    """

    first_seed: int | None = None
    plans: Sequence[SweepPlan] = ()

    @property
    def changed(self) -> bool:
        """Whether the plan changed after results could be seen."""
        return len(self.plans) > 1

    @cached_property
    def design(self) -> SequentialDesign | None:
        """The sequential design by which the sweep's cells end; None without one, or if the plan changed."""
        goal = self.plans[0].goal if len(self.plans) == 1 else None
        return None if goal is None else sequential_design(goal)

    @property
    def zone(self) -> tuple[float, float, float] | None:
        """Lower edge, asked rate and upper edge of the only plan's decision; None without one."""
        goal = self.plans[0].goal if len(self.plans) == 1 else None
        if goal is None or goal.until_decided is None:
            return None
        low, high = goal.zone
        return low, float(goal.until_decided), high
