"""The two parts of Algorithm 1: noise after a masked epoch (lines 7-10, 20-22), and gated checkpoints (17-19)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import Cell
from core.data.image_set import Dataset
from core.engine.batches import Batch, iterate_epoch
from core.engine.trainer import Trainer
from core.records import TrialRecord

pytestmark = pytest.mark.numeric

Runner = Callable[..., TrialRecord]


@pytest.fixture
def batches(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset]
) -> Callable[..., list[Batch]]:
    def make(noisy_batches: int, **options: Any) -> list[Batch]:
        cell = make_cell(**options)
        trainer = make_trainer(cell)
        draw = trainer.method.draw
        return list(iterate_epoch(load(cell).train, cell, draw, trainer.streams, trainer.ranks, 1, noisy_batches))

    return make


@pytest.mark.parametrize("clamp", [False, True])
def test_noise_is_on_the_first_batches_only(batches: Callable[..., list[Batch]], clamp: bool) -> None:
    clean, noisy = batches(0), batches(2, heal_noise=0.25, heal_clamp=clamp)
    for number, (before, after) in enumerate(zip(clean, noisy, strict=True)):
        assert torch.equal(before.y, after.y)
        if number >= 2:
            assert torch.equal(before.x, after.x)
            continue
        assert not torch.equal(before.x, after.x)
        inside = bool(((after.x >= 0) & (after.x <= 1)).all())
        assert inside == clamp
        # The inner attack starts near the noisy image.
        assert (after.drawn["start"] - after.x).abs().max() < 0.01
    if not clamp:
        noise = torch.cat([after.x - before.x for before, after in zip(clean[:2], noisy[:2], strict=True)])
        assert noise.std().item() == pytest.approx(0.25, rel=0.05)
        assert noise.mean().item() == pytest.approx(0, abs=0.02)


def typical_fosc(run: Runner, cell: Cell) -> float:
    """A threshold that the FOSC of some epochs exceeds and that of others does not."""
    values = sorted(row["val/fosc"] for row in run(cell, folder="typical", protocol={"stop": False}).trace)  # type: ignore[type-var]
    return (values[2] + values[3]) / 2  # type: ignore[operator]


@pytest.mark.parametrize("heal_batches", [2, 4, 7])
def test_noisy_batches_follow_the_algorithms_counter(
    make_cell: Callable[..., Cell], run: Runner, heal_batches: int
) -> None:
    threshold = typical_fosc(run, make_cell(epochs=6))
    cell = make_cell(epochs=6, heal="fosc", heal_batches=heal_batches, heal_noise=0.2)
    record = run(cell, protocol={"fosc_threshold": threshold, "stop": False})
    left, expected = 0, []
    for row in record.trace:
        noisy = 0
        for _ in range(4):  # batches of an epoch
            if left > 0:
                noisy, left = noisy + 1, left - 1
        expected.append(noisy)
        if row["val/fosc"] > threshold:  # type: ignore[operator]
            left = heal_batches
    assert [row["heal/noisy_batches"] for row in record.trace] == expected
    assert 0 < sum(expected) < 24


def test_training_is_unchanged_until_the_first_alarm(make_cell: Callable[..., Cell], run: Runner) -> None:
    threshold = typical_fosc(run, make_cell(epochs=6))
    protocol = {"fosc_threshold": threshold, "stop": False}
    plain = run(make_cell(epochs=6), folder="plain", protocol=protocol).trace
    healed = run(make_cell(epochs=6, heal="fosc"), folder="healed", protocol=protocol).trace
    first = next(i for i, row in enumerate(plain) if row["val/fosc"] > threshold)  # type: ignore[operator]
    assert [row["train/loss"] for row in healed[: first + 1]] == [row["train/loss"] for row in plain[: first + 1]]
    assert healed[first + 1]["train/loss"] != plain[first + 1]["train/loss"]


def test_the_gated_checkpoint_is_the_best_epoch_under_the_threshold(
    make_cell: Callable[..., Cell], run: Runner, tmp_path: Path
) -> None:
    threshold = typical_fosc(run, make_cell(epochs=6))
    record = run(make_cell(epochs=6), protocol={"fosc_threshold": threshold, "stop": False})
    under = [row for row in record.trace if row["val/fosc"] <= threshold]  # type: ignore[operator]
    best = max(row["val/pgd10_acc"] for row in under)  # type: ignore[type-var]
    expected = next(row["epoch"] for row in under if row["val/pgd10_acc"] == best)
    assert torch.load(tmp_path / "trial" / "gated.pt", weights_only=True)["epoch"] == expected


def test_no_epoch_under_the_threshold_leaves_no_gated_checkpoint(make_cell: Callable[..., Cell], run: Runner) -> None:
    record = run(make_cell(), protocol={"fosc_threshold": 1e-9, "stop": False})
    assert set(record.checkpoints) == {"selected.pt", "last.pt"}
    assert record.verdict is not None
    assert {evidence.checkpoint for evidence in record.verdict.evidence} >= {"selected", "last"}
    assert "gated" not in {evidence.checkpoint for evidence in record.verdict.evidence}
