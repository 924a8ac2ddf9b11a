"""The training step of TRADES-10 on ResNet-18: time, TFLOP/s, MFU and memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from core.engine.cost import step_flop
from core.engine.provenance import hardware
from jobs.speed.device.bench import Bench
from jobs.speed.device.peak import peak_tflops
from jobs.speed.device.subjects import resnet_cell, stepper, trainer_on
from jobs.speed.device.timing import Call, captured, pace_of

COMPILE_SECONDS = 150.0
"""Time that must be left before a network is compiled."""


def eager(bench: Bench) -> None:
    """The step as the product runs it."""
    for precision in bench.sizes.precisions:
        for batch in bench.sizes.batches:
            _attempt(bench, "eager", precision, batch, lambda call: call)


def graph(bench: Bench) -> None:
    """The whole step, which includes attack, loss, backward and update, as one CUDA graph. A CPU has none."""
    for precision in bench.sizes.precisions:
        for batch in bench.sizes.batches:
            _attempt(bench, "graph", precision, batch, captured)


def compiled(bench: Bench) -> None:
    """The step with ``--compile``, which compiles the attacked and the trained network."""
    for precision in bench.sizes.precisions:
        for batch in bench.sizes.batches[::2]:
            _attempt(bench, "compiled", precision, batch, lambda call: call, needs=COMPILE_SECONDS, compile=True)


def _attempt(
    bench: Bench,
    way: str,
    precision: str,
    batch: int,
    made: Callable[[Call], Call],
    needs: float = 15.0,
    **options: Any,
) -> None:
    what = f"step of TRADES-10 on ResNet-18, {precision}, {way}"
    measure = partial(_measure, bench, what, precision, batch, made, **options)
    bench.attempt(what, measure, needs=needs, batch=batch)


def _measure(
    bench: Bench,
    what: str,
    precision: str,
    batch: int,
    made: Callable[[Call], Call],
    **options: Any,
) -> None:
    device = bench.device
    memory = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    cell = resnet_cell(batch_size=batch, precision=precision, **options)
    trainer = trainer_on(device, cell)
    pace = pace_of(made(stepper(trainer)), device, bench.sizes.seconds)
    if device.type == "cuda":
        memory = {"memory_mb": round(torch.cuda.max_memory_allocated(device) / 1e6)}
    rate = step_flop(cell) / pace.seconds / 1e12
    peak = peak_tflops(hardware(device), precision)
    mfu = {} if peak is None else {"mfu": round(rate / peak, 4)}
    bench.add(what, rate, "TFLOP/s", batch=batch, **mfu, **memory, **pace.details())
