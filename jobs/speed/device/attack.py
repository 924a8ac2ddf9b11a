"""TRADES' 10-step attack on ResNet-18 alone."""

from __future__ import annotations

from functools import partial

from core.config.methods.base import IMAGE_BACKWARD
from core.engine.cost import forward_flop
from core.engine.determinism import deterministic
from core.engine.provenance import hardware
from jobs.speed.device.bench import Bench
from jobs.speed.device.peak import peak_tflops
from jobs.speed.device.step import COMPILE_SECONDS
from jobs.speed.device.subjects import random_batch, resnet_cell, trainer_on
from jobs.speed.device.timing import Call, captured, pace_of


def attack_loops(bench: Bench) -> None:
    """The loop eager and as a CUDA graph in every number format, then compiled in the first one."""
    sizes = bench.sizes
    for precision in sizes.precisions:
        for batch in sizes.batches[::2]:
            for way in ("eager", "graph"):
                _attempt(bench, way, precision, batch)
    for batch in sizes.batches[::2]:
        _attempt(bench, "compiled", sizes.precisions[0], batch, needs=COMPILE_SECONDS)


def _attempt(bench: Bench, way: str, precision: str, batch: int, needs: float = 10.0) -> None:
    what = f"10-step attack on ResNet-18, {precision}, {way}"
    bench.attempt(what, partial(_measure, bench, what, way, precision, batch), needs=needs, batch=batch)


def _measure(bench: Bench, what: str, way: str, precision: str, batch: int) -> None:
    cell = resnet_cell(batch_size=batch, precision=precision, compile=way == "compiled")
    trainer = trainer_on(bench.device, cell)
    trainer.begin_epoch(1, batch)
    images = random_batch(trainer)

    def attack() -> object:
        with deterministic(bench.device), trainer.precision.float32_products():
            return trainer.method.attack(trainer, images)

    call: Call = captured(attack) if way == "graph" else attack
    pace = pace_of(call, bench.device, bench.sizes.seconds / 2)
    steps = cell.attack.attack_steps
    assert isinstance(steps, int)
    rate = (1 + steps * (1 + IMAGE_BACKWARD)) * batch * forward_flop(cell) / pace.seconds / 1e12
    peak = peak_tflops(hardware(bench.device), precision)
    mfu = {} if peak is None else {"mfu": round(rate / peak, 4)}
    bench.add(what, rate, "TFLOP/s", batch=batch, **mfu, **pace.details())
