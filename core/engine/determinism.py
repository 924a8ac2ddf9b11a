"""Deterministic algorithms on a GPU, with which a trial has the same bits after an interruption as without one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

CUBLAS_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
"""Environment variable of cuBLAS, which is read when a process uses the GPU for the first time."""
CUBLAS_WORKSPACE = ":4096:8"
"""A workspace per stream of fixed size (8 buffers of 4 MiB), with which cuBLAS is deterministic."""
_MEMORY: Any = torch.utils.deterministic


def prepare_determinism() -> None:
    """Set the environment of this process. It must be called before the process uses a GPU."""
    os.environ.setdefault(CUBLAS_VARIABLE, CUBLAS_WORKSPACE)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Context in which an operation on a GPU gives the same bits each time. The settings are restored on exit.

    Torch chooses deterministic convolutions and scatters, and raises RuntimeError for an operation that has no
    deterministic form. Of these operations the engine, the methods and the attacks use none. On a CPU all algorithms in
    use are deterministic, and nothing is set.
    """
    if device.type != "cuda":
        yield
        return
    mode = torch.get_deterministic_debug_mode()
    filled = _MEMORY.fill_uninitialized_memory
    torch.set_deterministic_debug_mode("error")
    _MEMORY.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        _MEMORY.fill_uninitialized_memory = filled
