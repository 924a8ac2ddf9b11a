"""The device of a process: checked by one allocation, and limited to the process's share of its memory."""

from __future__ import annotations

import torch

from core.engine.determinism import prepare_determinism


class BrokenDeviceError(RuntimeError):
    """The device cannot be used at all: its driver is broken, or its memory is full before the first allocation."""


def open_device(name: str, share: float = 1.0) -> torch.device:
    """The device ``name`` (``cpu`` or ``cuda``), of which this process may use ``share`` of the memory.

    Raises:
        BrokenDeviceError: the GPU cannot hold a single number.
    """
    device = torch.device(name)
    if device.type == "cuda":
        prepare_determinism()
        try:
            torch.zeros(1, device=device).item()
        except (RuntimeError, AssertionError) as error:  # torch without CUDA raises AssertionError
            raise BrokenDeviceError((str(error).splitlines() or [type(error).__name__])[0]) from error
        if share < 1:
            torch.cuda.set_per_process_memory_fraction(share, device)
    return device


def peak_memory(device: torch.device) -> dict[str, float | None]:
    """The row entry ``gpu/memory_mb``: the most memory that tensors of this process have had; empty on a CPU."""
    if device.type != "cuda":
        return {}
    return {"gpu/memory_mb": torch.cuda.max_memory_allocated(device) / 1e6}
