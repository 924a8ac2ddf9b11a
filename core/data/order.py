"""The order of images in an epoch, and each rank's share of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def epoch_order(n: int, generator: torch.Generator) -> Tensor:
    """A uniformly random permutation of 0..n-1 (int64 [n]) on the generator's device."""
    return torch.randperm(n, generator=generator, device=generator.device)


def rank_rows(n: int, rank: int, workers: int) -> slice:
    """The contiguous rows of a global batch of ``n`` images that ``rank`` of ``workers`` trains on.

    The parts of all ranks are disjoint and cover the batch; their sizes differ by at most 1, so a batch smaller than
    ``workers`` leaves some ranks an empty part. Whatever is drawn per image of the global batch is sliced the same way.
    """
    return slice(rank * n // workers, (rank + 1) * n // workers)
