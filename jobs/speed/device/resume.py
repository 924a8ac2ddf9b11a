"""Training that is interrupted and continued on the device, and training that is repeated: are the bits the same?"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from core.config import Cell
from core.data.image_set import ImageSet
from core.engine.determinism import deterministic
from core.engine.trainer import Trainer
from core.engine.trial_state import TrialState, pack, unpack
from jobs.speed.device.bench import Bench
from jobs.speed.device.runs import TINY
from jobs.speed.device.sizes import RESNET
from jobs.speed.device.subjects import Settings, dataset_of, resnet_cell, stepper, trainer_on
from jobs.speed.device.timing import pace_of

WAYS: dict[str, Settings] = {"deterministic": deterministic, "torch's own algorithms": lambda device: nullcontext()}


def resumed_bits(bench: Bench) -> None:
    """ResNet-18 in every number format of the device and the small network, then what determinism costs."""
    cells: dict[str, dict[str, Any]] = {"small-cnn, fp32": {**TINY, "augment": "crop-flip"}}
    for precision in bench.sizes.precisions:
        cells[f"resnet18, {precision}"] = {**RESNET, **bench.sizes.resumed, "precision": precision}
    for way, settings in WAYS.items() if bench.device.type == "cuda" else list(WAYS.items())[:1]:
        for name, options in cells.items():
            what = f"{name}, {way}"
            bench.attempt(what, partial(_compare, bench, what, Cell.from_flat(options), settings), needs=20)
    for precision in bench.sizes.precisions:
        bench.attempt(f"price of determinism, {precision}", partial(_price, bench, precision), needs=20)


def _compare(bench: Bench, what: str, cell: Cell, settings: Settings) -> None:
    train, epochs = dataset_of(cell).train.to(bench.device), bench.sizes.resumed_epochs
    with settings(bench.device):
        whole, again, half, continued = (trainer_on(bench.device, cell) for _ in range(4))
        _train(whole, train, 1, epochs)
        _train(again, train, 1, epochs)
        _train(half, train, 1, epochs // 2)
        unpack(pack(TrialState(), half.parts, {}, {}), continued.parts)
        _train(continued, train, epochs // 2 + 1, epochs)
    bits, resumed = _weights(whole), _weights(continued)
    bench.add(
        what,
        float(torch.equal(bits, resumed)),
        "1 if the bits after a resume are those without",
        repeated=torch.equal(bits, _weights(again)),
        difference=(bits - resumed).abs().max().item(),
        batch=cell.training.batch_size,
        epochs=epochs,
        steps=epochs * cell.count_batches(len(train)),
    )


def _price(bench: Bench, precision: str) -> None:
    """Seconds of a step with deterministic algorithms over those with torch's own."""
    batch = bench.sizes.batches[0]
    trainer = trainer_on(bench.device, resnet_cell(batch_size=batch, precision=precision))
    paces = [pace_of(stepper(trainer, settings), bench.device, bench.sizes.seconds) for settings in WAYS.values()]
    ratio, ms = paces[0].seconds / paces[1].seconds, 1000 * paces[0].seconds
    bench.add(f"price of determinism, {precision}", ratio, "x", batch=batch, ms=round(ms, 3))


def _train(trainer: Trainer, train: ImageSet, first: int, last: int) -> None:
    for epoch in range(first, last + 1):
        trainer.run_epoch(train, epoch)


def _weights(trainer: Trainer) -> Tensor:
    return torch.cat([tensor.detach().double().flatten().cpu() for tensor in trainer.model.state_dict().values()])
