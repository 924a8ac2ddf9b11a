"""The DDP ranks of one trial, as one rank sees them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Ranks:
    """Rank, number of workers and device of this process. A single worker needs no process group.

    Attributes:
        hosts: host names of the ranks, in the order of the ranks.
    """

    rank: int = 0
    workers: int = 1
    device: torch.device = CPU
    hosts: tuple[str, ...] = (platform.node(),)

    @property
    def leads(self) -> bool:
        """True on the leading rank, which writes files."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum ``values`` over all ranks, in place."""
        if self.workers > 1:
            dist.all_reduce(values)
        return values

    def sum_all(self, tensors: Sequence[torch.Tensor]) -> None:
        """Sum each of ``tensors`` over all ranks, in place and in one message. All tensors must have the same type."""
        if self.workers == 1:
            return
        message = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(message)
        parts = message.split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])

    def from_leader(self, value: T) -> T:
        """Return the leading rank's ``value`` on every rank."""
        if self.workers == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def copy_buffers(self, model: torch.nn.Module) -> None:
        """Copy the leading rank's BatchNorm statistics to all ranks, so that all ranks measure the same model."""
        if self.workers > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)
