"""Every variant and method of training on the device, with the losses of a CPU from the same weights and numbers."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any

import torch
from torch import Tensor

from core.config import METHODS, Cell, ProtocolOptions, Trial
from core.engine.batches import iterate_epoch
from core.engine.determinism import deterministic
from core.engine.ranks import CPU, Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.methods import Batch
from core.storage import Store
from jobs.speed.device.bench import Bench
from jobs.speed.device.subjects import dataset_of, trainer_on

TINY: dict[str, Any] = {
    "classes": 5,
    "train_images": 148,
    "validation_images": 20,
    "test_images": 20,
    "batch_size": 32,
    "epochs": 2,
    "epsilon": 0.1,
    "attack_step_size": 0.05,
    "attack_steps": 2,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "fp32 --no-fast": {"fast": False},
    "tf32": {"precision": "tf32"},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "channels-last": {"channels_last": True, "channels": 3},
    "AWP": {"awp_radius": 0.01},
    "BatchNorm in train mode in the attack": {"attack_bn": "train"},
    "resnet18": {"model": "resnet18", "channels": 3, "image_size": 16, "lr": 0.01},
    "preact-resnet18": {"model": "preact-resnet18", "channels": 3, "image_size": 16, "lr": 0.01},
}
METHODS_OWN: dict[str, dict[str, Any]] = {"free": {"replays": 2}}
"""Options that a method needs in a training as short as this one."""
PROTOCOL = {"verdict_images": 20, "square_queries": 20, "pgd50_restarts": 1, "eval_steps": 3, "gradient_stride": 2}


def variants(bench: Bench) -> None:
    """One training epoch of each variant and method, then one whole trial."""
    for name, options in options_of_all().items():
        bench.attempt(name, partial(_compare, bench, name, options), needs=5)
    bench.attempt("a whole trial", partial(_trial, bench))


def options_of_all() -> dict[str, dict[str, Any]]:
    """Options of the cells of all variants and methods, by the name of their entry."""
    cells = {name: {**TINY, **options} for name, options in VARIANTS.items()}
    usual = {name: value for name, value in TINY.items() if name not in ("attack_steps", "attack_step_size")}
    cells |= {f"method {name}": {**usual, "method": name, **METHODS_OWN.get(name, {})} for name in METHODS}
    return cells


def _compare(bench: Bench, name: str, options: dict[str, Any]) -> None:
    cell = Cell.from_flat(options)
    train = dataset_of(cell).train
    here, there = trainer_on(CPU, cell), trainer_on(bench.device, cell)
    here.begin_epoch(1, len(train))
    there.begin_epoch(1, len(train))
    batches = iterate_epoch(train, cell, here.method.draw, here.streams, Ranks(), 1, 0)
    pairs = []
    for here.step, batch in enumerate(batches):
        there.step = here.step
        with deterministic(bench.device), there.precision.float32_products():
            theirs = there.method.step(there, _moved(batch, bench.device)).total.item()
        pairs.append((here.method.step(here, batch).total.item(), theirs))
    differences = [abs(ours - theirs) / max(abs(ours), 1e-9) for ours, theirs in pairs]
    losses = [round(theirs, 6) for _, theirs in pairs]
    bench.add(
        name, differences[0], "relative difference of the first loss from the CPU's", all=differences, loss=losses
    )


def _moved(batch: Batch, device: torch.device) -> Batch:
    drawn: dict[str, Tensor] = {name: values.to(device) for name, values in batch.drawn.items()}
    return batch._replace(x=batch.x.to(device), y=batch.y.to(device), drawn=drawn)


def _trial(bench: Bench) -> None:
    cell = Cell.from_flat(TINY)
    with tempfile.TemporaryDirectory(prefix="unmask-device-") as folder:
        context = TrialContext("device", Store(folder), Ranks(device=bench.device), lambda *_: None, "", Cadence(0, 0))
        record = run_trial(Trial(cell=cell, seed=0), ProtocolOptions(**PROTOCOL), lambda: dataset_of(cell), context)
    assert record is not None
    assert record.verdict is not None
    bench.add("a whole trial", record.device_seconds, "s", outcome=record.verdict.outcome, trace=list(record.trace))
