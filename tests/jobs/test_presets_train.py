"""Every cell of every preset trains: a step of its first and of its last epoch, on a tiny network and random images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import Cell, build_sweep, load_preset
from core.data.image_set import ImageSet
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.models import build_model

PRESETS = Path(__file__).parents[2] / "jobs" / "presets"
BATCH = 4
TINY = {"model": "small-cnn", "policy_model": "small-cnn", "batch_size": BATCH}
ELSEWHERE = ("start_from", "start_checkpoint", "start_sha256")
"""Options that need files of other trials."""


def tiny_cells(name: str) -> list[Cell]:
    """The preset's cells as trials of a tiny network, one of those that differ in no more than real numbers.

    A preset of an earlier sweep has that sweep's cells, with its own options.
    """
    preset, overrides = load_preset(name, PRESETS), {}
    if preset.earlier:
        (grid,) = preset.grids
        preset, overrides = load_preset(preset.earlier.sweep, PRESETS), {n: (v,) for n, v in grid.options.items()}
    sweep = build_sweep(preset, preset_name=name, name=name, cell_overrides=overrides, protocol_overrides={})
    cells = [tiny_cell(entry.cell) for entry in sweep.entries]
    return list({str([v for v in cell.flat().values() if not isinstance(v, float)]): cell for cell in cells}.values())


def tiny_cell(cell: Cell) -> Cell:
    flat: dict[str, Any] = {**cell.flat(), **{name: value for name, value in TINY.items() if name in cell.flat()}}
    return Cell.from_flat({name: value for name, value in flat.items() if name not in ELSEWHERE})


def images(cell: Cell, count: int) -> ImageSet:
    shape, rng = cell.data.shape, torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, shape.channels, shape.image_size, shape.image_size), generator=rng)
    return ImageSet(pixels.to(torch.uint8), torch.arange(count) % shape.classes)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_all_cells_of_a_preset_train(name: str) -> None:
    cells = tiny_cells(name)
    assert cells
    for cell in cells:
        train = images(cell, cell.labelled_per_batch)
        if cell.data.extra_data:
            train = ImageSet(train.images, train.labels, images(cell, BATCH))
        streams = Streams.spawn(0, {})
        trainer = Trainer(cell, build_model(cell.model, cell.data.shape, 0), streams, Ranks())
        last = cell.training.epochs
        # the last epoch of SubAT needs the snapshots of all epochs before
        for epoch in (1,) if cell.method.method == "sub-at" else (1, last):
            row, _ = trainer.run_epoch(train, epoch)
            assert row["train/loss"] is not None
            assert math.isfinite(row["train/loss"])
