"""The four independent random streams of a trial. They have one integer seed, and each can be pinned separately.

A stream is counter-based: the generator of an epoch depends only on (seed, stream, epoch). A resumed trial therefore
draws the same numbers as an uninterrupted one, and its checkpoint needs no generator state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from core.config import STREAMS, Stream


@dataclass(frozen=True)
class Streams:
    """The seeds of initialisation, data order, augmentation and attack noise."""

    seeds: Mapping[Stream, int]

    @classmethod
    def spawn(cls, seed: int, pins: Mapping[Stream, int]) -> Streams:
        """The streams of a trial. A pinned stream uses the seed of its pin instead of the trial's seed."""
        return cls({stream: pins.get(stream, seed) for stream in STREAMS})

    def integer(self, stream: Stream, *path: int) -> int:
        """A 32-bit seed for ``stream`` at ``path``, which is for example the epoch."""
        sequence = np.random.SeedSequence(self.seeds[stream], spawn_key=(STREAMS.index(stream), *path))
        return int(sequence.generate_state(1)[0])

    def generator(self, stream: Stream, *path: int, device: torch.device) -> torch.Generator:
        """A generator on ``device`` for ``stream`` at ``path``."""
        return torch.Generator(device).manual_seed(self.integer(stream, *path))
