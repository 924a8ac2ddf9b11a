"""What a sweep would train and cost, told without starting anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from core.config import Cell, ProtocolOptions, RunOptions, Sweep
from core.config.data import FIXED_SHAPES
from core.sweep.design import fixed_trials

TRAINING_IMAGES = {"digits": 1437, "cifar10": 50_000, "cifar100": 50_000, "svhn": 73_257, "tiny-imagenet-200": 100_000}
assert TRAINING_IMAGES.keys() == FIXED_SHAPES.keys()
BACKWARD = 2
"""A full backward costs about two forwards: gradients of the activations and of the weights."""
INPUT_BACKWARD = 1
"""A backward to the images alone costs about one forward."""
SECONDS_PER_PASS = 5e-4
"""What a forward or backward of a whole network takes at least, however small it is: launching its operations."""


def forwards_per_image(cell: Cell, protocol: ProtocolOptions) -> float:
    """Cost of one epoch, in forwards of one image per training image, validation included."""
    attack = cell.attack.attack_steps * (1 + INPUT_BACKWARD) + (cell.attack.inner == "kl")
    objective = (1 + cell.method.clean_forwards if cell.method.method == "trades" else 1) * (1 + BACKWARD)
    perturbation = objective if cell.awp.awp_radius else 0
    validation = (protocol.eval_steps + 2) * (1 + INPUT_BACKWARD) + 1
    images = training_images(cell)
    return attack + objective + perturbation + validation * cell.data.validation_images / images


def training_images(cell: Cell) -> int:
    """Images a trial trains on, the validation split left out."""
    published = cell.data.train_images or TRAINING_IMAGES[cell.data.dataset]
    return published - cell.data.validation_images


def forward_flop(cell: Cell) -> int:
    """Floating-point operations of one image's forward; a multiply-add counts as two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from core.models import build_model

    shape = cell.data.shape
    model = build_model(cell.model, shape, seed=0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, shape.channels, shape.image_size, shape.image_size))
    return counter.get_total_flops()


def print_estimate(sweep: Sweep, run: RunOptions, console: Console) -> None:
    """Cells, trials and cost of the sweep, if no trial is stopped early."""
    table = Table(title=f"Sweep {sweep.name}: nothing is started", title_justify="left")
    factors = varying(entry.cell.flat() for entry in sweep.entries)
    for name in (*factors, "seeds", "PFLOP / trial", "device-hours"):
        table.add_column(name, justify="right")
    flop_of: dict[str, int] = {}
    total = 0.0
    for entry in sweep.entries:
        cell = entry.cell
        architecture = f"{cell.model} {cell.data.shape}"
        if architecture not in flop_of:
            flop_of[architecture] = forward_flop(cell)
        per_epoch = forwards_per_image(cell, sweep.protocol) * training_images(cell) * flop_of[architecture]
        flop = per_epoch * cell.training.epochs
        steps = training_images(cell) / cell.training.batch_size * cell.training.epochs
        passes = steps * forwards_per_image(cell, sweep.protocol)
        hours = entry.seeds * (flop / (run.device_tflops * 1e12) + passes * SECONDS_PER_PASS) / 3600
        total += hours
        flat = cell.flat()
        row = [
            *(str(flat[name]) for name in factors),
            entry.seeds,
            f"{flop / 1e15:.3g}",
            f"{hours:.3g}",
        ]
        table.add_row(*map(str, row))
    console.print(table)
    console.print(
        f"{len(sweep.entries)} cells, {len(fixed_trials(sweep))} trials, {total:.3g} device-hours at "
        f"{run.device_tflops:g} TFLOP/s sustained (--device-tflops), verdicts and early stopping left out.",
        soft_wrap=True,
    )


def varying(cells: Iterable[dict[str, Any]]) -> list[str]:
    """Options that differ between cells; the data set if none does."""
    flats = list(cells)
    return [name for name in flats[0] if any(flat[name] != flats[0][name] for flat in flats)] or ["dataset"]
