"""Seconds per call on a device, and calls that are captured as a CUDA graph."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

REPEATS = 5
Call = Callable[[], object]
"""The work that is timed."""


class Pace(NamedTuple):
    """Seconds per call.

    Attributes:
        seconds: median over the repeats.
        low: the fastest repeat.
        high: the slowest repeat.
        issued: seconds per call until the CPU had issued the work, a median. If it is close to ``seconds``, the GPU
            waits for the CPU.
    """

    seconds: float
    low: float
    high: float
    issued: float

    def details(self) -> dict[str, float]:
        """The values in milliseconds, for a measurement's entry."""
        return {
            name: round(1000 * value, 4)
            for name, value in zip(("ms", "low_ms", "high_ms", "issued_ms"), self, strict=True)
        }


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def pace_of(call: Call, device: torch.device, seconds: float) -> Pace:
    """Time ``call`` for at least ``seconds`` in all, after it was called twice."""
    call()
    once = _run(call, 1, device)[0]
    calls = max(1, round(seconds / REPEATS / once))
    runs = [_run(call, calls, device) for _ in range(REPEATS if once < 10 * seconds else 1)]
    whole = [run[0] for run in runs]
    return Pace(statistics.median(whole), min(whole), max(whole), statistics.median(run[1] for run in runs))


def _run(call: Call, calls: int, device: torch.device) -> tuple[float, float]:
    synchronize(device)
    started = time.perf_counter()
    for _ in range(calls):
        call()
    issued = time.perf_counter()
    synchronize(device)
    return (time.perf_counter() - started) / calls, (issued - started) / calls


def captured(call: Call) -> Call:
    """``call`` as a CUDA graph, which computes on the memory that ``call`` used when it was captured."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay
