"""Blocks of images: the unit of work, with random numbers of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Block(NamedTuple):
    """Test images ``start`` to ``stop - 1``; ``number`` counts blocks from 0."""

    number: int
    start: int
    stop: int


def split_blocks(images: int, size: int) -> tuple[Block, ...]:
    """Blocks of ``size`` images that cover the first ``images``; the last one may be smaller."""
    return tuple(Block(number, start, min(start + size, images)) for number, start in enumerate(range(0, images, size)))


def block_seed(seed: int, number: int) -> int:
    """Seed of all attacks on a block, a 32-bit number.

    All attacks on a block share it, as they share one in AutoAttack: a direct call of the library with this seed on
    the block's images gives the same result.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1)[0])
