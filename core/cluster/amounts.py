"""Amounts of CPUs and GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ray.util.state.common import ActorState, PlacementGroupState

KINDS = ("CPU", "GPU")


@dataclass(frozen=True)
class Amounts:
    """Amounts by kind of resource. As text: ``2 CPU and 1 GPU``."""

    amounts: Mapping[str, float]

    @classmethod
    def by(cls, groups: Iterable[PlacementGroupState], actors: Iterable[ActorState] = ()) -> Amounts:
        """What placement groups, and actors outside of such groups, have."""
        parts = [bundle["unit_resources"] for group in groups for bundle in group.bundles or ()]
        parts += [actor.required_resources or {} for actor in actors if not actor.placement_group_id]
        return cls({kind: sum(part.get(kind, 0) for part in parts) for kind in KINDS})

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> Amounts:
        """The CPUs and GPUs among all resources."""
        return cls({kind: resources.get(kind, 0) for kind in KINDS})

    def __bool__(self) -> bool:
        return any(self.amounts.values())

    def __str__(self) -> str:
        return " and ".join(f"{amount:g} {kind}" for kind, amount in self.amounts.items() if amount)
