"""The labels of attacks, which say with how many steps, restarts and queries an attack was run."""

from __future__ import annotations

from collections.abc import Iterable

from core.records import Measurement


def attack_labels(measurements: Iterable[Measurement]) -> dict[str, tuple[str, ...]]:
    """The distinct labels of each attack in order of appearance, by its key in records: ``{"pgd-10": ("pgd-20",)}``."""
    found: dict[str, dict[str, None]] = {}
    for measurement in measurements:
        found.setdefault(measurement.attack, {})[measurement.label] = None
    return {attack: tuple(labels) for attack, labels in found.items()}
