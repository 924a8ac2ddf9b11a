"""Blocks of images, the units of work of an evaluation. Each block has its own random numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FOLDER = "evaluation"
"""Name of the folder of all results of blocks, beside the checkpoint."""


class Block(NamedTuple):
    """Test images ``start`` to ``stop - 1``; ``number`` counts blocks from 0."""

    number: int
    start: int
    stop: int

    @property
    def place(self) -> str:
        """The range of the images, as it is in the names of stored results."""
        return f"{self.start:06d}-{self.stop:06d}"


def split_blocks(images: int, size: int) -> tuple[Block, ...]:
    """Blocks of ``size`` images that cover the first ``images`` test images; the last block may be smaller."""
    return tuple(Block(number, start, min(start + size, images)) for number, start in enumerate(range(0, images, size)))


def results_folder(weights: str, size: int, seed: int) -> str:
    """The folder of the results of all blocks of a checkpoint, whose SHA-256 is ``weights``.

    Its name contains the size of a block, which decides a block's number and hence its seed.
    """
    return f"{FOLDER}/{weights[:16]}/block{size}-seed{seed}"


def block_seed(seed: int, number: int) -> int:
    """The 32-bit seed of all attacks on a block.

    All attacks on a block share this seed, as in AutoAttack. A direct call of pyautoattack with this seed on the
    block's images therefore gives the same result.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1)[0])
