"""The initial weights of a trial that starts from another trial or from a file."""

from __future__ import annotations

from dataclasses import dataclass

from core.engine.selection import Weights


@dataclass(frozen=True)
class StartingPoint:
    """Initial weights and their origin.

    Attributes:
        weights: parameters and buffers by name, on the CPU.
        origin: entries of the record's provenance: place, checksum, epoch and, of a trial, the outcome.
    """

    weights: Weights
    origin: dict[str, str]
