"""One integer seed spawns four independent streams; each can be pinned alone.

A stream is counter-based: the generator of an epoch depends on nothing but (seed, stream, epoch), so a resumed trial
draws what an uninterrupted one would have drawn without any generator state in its checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from core.config import STREAMS, Stream


@dataclass(frozen=True)
class Streams:
    """Seeds of initialisation, data order, augmentation and attack noise."""

    seeds: Mapping[Stream, int]

    @classmethod
    def spawn(cls, seed: int, pins: Mapping[Stream, int]) -> Streams:
        """Streams of a trial; a pinned stream takes the pin's seed instead of the trial's."""
        return cls({stream: pins.get(stream, seed) for stream in STREAMS})

    def integer(self, stream: Stream, *path: int) -> int:
        """A 32-bit seed for ``stream`` at ``path`` (an epoch, say)."""
        sequence = np.random.SeedSequence(self.seeds[stream], spawn_key=(STREAMS.index(stream), *path))
        return int(sequence.generate_state(1)[0])

    def generator(self, stream: Stream, *path: int, device: torch.device) -> torch.Generator:
        """A generator on ``device`` for ``stream`` at ``path``."""
        return torch.Generator(device).manual_seed(self.integer(stream, *path))
