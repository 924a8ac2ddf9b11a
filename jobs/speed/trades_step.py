"""Speed of the engine's TRADES training step relative to the textbook's."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial

import torch

from core.config import Cell
from jobs.speed.bf16 import has_bf16
from jobs.speed.parity import paired_losses, relative_differences
from jobs.speed.result import Goal, Result, Settings, ratios
from jobs.speed.subjects import (
    feasible_batch,
    fields_cell,
    make_textbook,
    make_trainer,
    one_thread,
    resnet_cell,
    ten_step_cell,
    training_images,
)
from jobs.speed.textbook import textbook_loader
from jobs.speed.timing import take_turns

Variants = dict[str, tuple[dict[str, object], Goal | None]]
"""Variants of the engine by name: options of the cell, and the goal against the official code's way."""

MAX_COMPARED_BATCH = 32
"""Largest batch size for comparing losses; larger batches would show nothing further."""
TEXTBOOK, OFFICIAL, LOADING = "textbook", "official", "data loading of both"


def small_cnn_steps(settings: Settings) -> Iterator[Result]:
    """Measure preset fields-quick's step in its batch sizes, and a 10-step variant in batches of 128."""
    row = "trades-small-cnn"
    with one_thread():
        for size in sorted({entry.cell.training.batch_size for entry in settings.fields.entries}):
            yield from compare_steps(row, fields_cell(settings, batch_size=size), _float32_variants(None), settings)
        yield from compare_steps(row, ten_step_cell(settings), _float32_variants(Goal(">=", 3.5)), settings)


def resnet_steps(settings: Settings) -> Iterator[Result]:
    """Measure ResNet-18 with the paper's attack, in float32 and, if the device supports it, bfloat16."""
    variants: Variants = {"fp32 channels_last": ({"channels_last": True}, Goal(">=", 2))}
    if has_bf16(settings.device):
        variants["bf16 channels_last"] = ({"channels_last": True, "precision": "bf16"}, Goal(">=", 4))
    for size in settings.resnet_batches or [feasible_batch(settings)]:
        cell = resnet_cell(settings, batch_size=size)
        yield from compare_steps("trades-resnet18", cell, variants, settings.fewer(), batches=1)


def compare_steps(
    row: str, cell: Cell, variants: Variants, settings: Settings, batches: int | None = None
) -> Iterator[Result]:
    """Seconds of other ways over those of each variant of the engine, for epochs of whole batches with data path.

    The official code's way (Zhang et al. 2019) computes image gradients only in the attack, and the clean logits twice
    in training, once for each term of the loss. The textbook's computes the weights' gradients too, and the clean
    logits as often as the cell says. The data loading of both is also timed alone, for the note.
    """
    device = settings.device
    images = training_images(cell, device, batches)
    setting = f"{cell.model.model}, {cell.attack.attack_steps} attack step(s), batch {cell.training.batch_size}"
    setting += f", {torch.get_num_threads()} thread(s)"
    steps = 20 if batches is None else 2
    compared = Cell.from_flat({**cell.flat(), "batch_size": min(cell.training.batch_size, MAX_COMPARED_BATCH)})
    settings.say(f"{row}: {setting}, comparing {steps} losses in batches of {compared.training.batch_size}")
    differences = relative_differences(paired_losses(compared, steps, device, follow=True))
    loader = textbook_loader(images, cell, device)
    official = Cell.from_flat({**cell.flat(), "clean_forwards": 2})
    ways: dict[str, Callable[[], object]] = {
        TEXTBOOK: partial(make_textbook(cell, device).epoch, loader),
        OFFICIAL: partial(make_textbook(official, device, image_gradient_only=True).epoch, loader),
        LOADING: partial(list, loader),
    }
    for name, (options, _) in variants.items():
        ways[name] = _engine_epochs(Cell.from_flat({**cell.flat(), **options}), settings, batches)
    seconds = take_turns(ways, settings, f"{row}: {setting}")
    loading = sum(seconds[LOADING]) / sum(seconds[TEXTBOOK])
    for name, (_, goal) in variants.items():
        note = f"{loading:.0%} of the textbook's time is data loading"
        if "fp32" in name:
            note += f"; losses of {steps} fp32 steps from equal weights differ by {statistics.median(differences):.0e}"
            note += f" (median) to {max(differences):.0e}"
        engine = f"engine {name}; {setting}"
        yield Result(row, f"{OFFICIAL} / {engine}", ratios(seconds, OFFICIAL, name), "x", goal, note)
        yield Result(row, f"{TEXTBOOK} / {engine}", ratios(seconds, TEXTBOOK, name), "x")


def _float32_variants(goal: Goal | None) -> Variants:
    return {
        "fp32": ({"channels_last": False}, goal),
        "fp32 channels_last": ({"channels_last": True}, goal),
    }


def _engine_epochs(cell: Cell, settings: Settings, batches: int | None) -> Callable[[], object]:
    trainer = make_trainer(cell, settings.device)
    images = training_images(cell, settings.device, batches)
    return lambda: trainer.run_epoch(images, 1)
