"""Averages of the weights: their closed form, BatchNorm's statistics, and that they are what a trial measures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from core.config import Cell, ProtocolOptions
from core.data.image_set import Dataset
from core.engine.batches import iterate_epoch
from core.engine.epoch_row import validation_row
from core.engine.ranks import Ranks
from core.engine.trainer import Trainer
from core.engine.weights.averaging import estimate_statistics
from core.methods import Batch, Objective
from core.models import build_model
from core.records import TrialRecord
from tests import tiny

pytestmark = pytest.mark.numeric

STEPS = 4
"""Batches of an epoch."""


def parameters(model: nn.Module) -> Tensor:
    return torch.cat([weight.detach().double().flatten() for weight in model.parameters()])


def trained(trainer: Trainer, dataset: Dataset, epochs: int) -> list[Tensor]:
    """Train, and return the weights after every step."""
    seen: list[Tensor] = []
    step = trainer.method.step

    def recorded(run: Any, batch: Batch) -> Objective:
        objective = step(run, batch)
        seen.append(parameters(trainer.model))
        return objective

    trainer.method.step = recorded  # type: ignore[method-assign]
    for epoch in range(1, epochs + 1):
        trainer.run_epoch(dataset.train, epoch)
    assert len(seen) == STEPS * epochs
    return seen


def ema(points: list[Tensor], decay: float) -> Tensor:
    """The sum that the recursion unrolls to."""
    last = len(points) - 1
    shares = [decay**last, *((1 - decay) * decay ** (last - i) for i in range(1, len(points)))]
    assert sum(shares) == pytest.approx(1)
    return torch.stack([share * point for share, point in zip(shares, points, strict=True)]).sum(0)


AVERAGES: dict[str, tuple[dict[str, Any], Callable[[list[Tensor]], Tensor]]] = {
    "ema": ({"weight_averaging": "ema", "averaging_decay": 0.8}, lambda seen: ema(seen, 0.8)),
    "ema of every third update": (
        {"weight_averaging": "ema", "averaging_decay": 0.8, "averaging_interval": 3},
        lambda seen: ema(seen[2::3], 0.8),
    ),
    "late ema": (
        {"weight_averaging": "ema", "averaging_decay": 0.8, "averaging_start": 3},
        lambda seen: ema(seen[2 * STEPS :], 0.8),
    ),
    "swa": ({"weight_averaging": "swa"}, lambda seen: torch.stack(seen[STEPS - 1 :: STEPS]).mean(0)),
    "late swa": (
        {"weight_averaging": "swa", "averaging_start": 2},
        lambda seen: torch.stack(seen[2 * STEPS - 1 :: STEPS]).mean(0),
    ),
    "swa of every fifth update": (
        {"weight_averaging": "swa", "averaging_interval": 5},
        lambda seen: torch.stack(seen[4::5]).mean(0),
    ),
    "not yet": ({"weight_averaging": "swa", "averaging_interval": 100}, lambda seen: seen[-1]),
}


@pytest.mark.parametrize("name", AVERAGES)
@pytest.mark.parametrize("perturbed", [{}, {"awp_radius": 0.05}], ids=["plain", "awp"])
def test_the_average_is_the_closed_form(
    name: str,
    perturbed: dict[str, Any],
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
) -> None:
    options, expected = AVERAGES[name]
    trainer = make_trainer(make_cell(norm="none", lr=0.05, **options, **perturbed), float64=True)
    seen = trained(trainer, load(trainer.cell), 3)
    torch.testing.assert_close(parameters(trainer.measured), expected(seen), rtol=0, atol=1e-12)


def test_the_trained_weights_know_nothing_of_their_average(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset]
) -> None:
    plain, averaged = make_trainer(make_cell()), make_trainer(make_cell(weight_averaging="ema", averaging_decay=0.5))
    dataset = load(plain.cell)
    for trainer in (plain, averaged):
        trained(trainer, dataset, 2)
    one, other = (trainer.model.state_dict() for trainer in (plain, averaged))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert plain.measured is plain.model
    assert not torch.equal(parameters(averaged.measured), parameters(averaged.model))


@pytest.mark.parametrize("sizes", [(8, 8, 8), (8, 8, 3)])
def test_statistics_are_those_of_the_images(sizes: tuple[int, ...]) -> None:
    """Of a first layer, the mean of equal batches' means is the mean of all pixels; that of others is weighted."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).double()
    batches = [torch.rand(size, 2, 4, 4, dtype=torch.float64) ** (i + 1) for i, size in enumerate(sizes)]
    momentum = model[0].momentum
    estimate_statistics(model, batches)
    found = [(layer.running_mean.clone(), layer.running_var.clone()) for layer in (model[0], model[2])]
    share = np.array(sizes) / sum(sizes)
    per_batch = [np.moveaxis(batch.numpy(), 1, 0).reshape(2, -1) for batch in batches]
    mean, variance = found[0]
    np.testing.assert_allclose(mean.numpy(), np.concatenate(per_batch, 1).mean(1), rtol=1e-12)
    np.testing.assert_allclose(
        variance.numpy(), sum(s * b.var(1, ddof=1) for s, b in zip(share, per_batch, strict=True)), rtol=1e-12
    )
    assert model[0].momentum == momentum
    if len(set(sizes)) == 1:
        update_bn(batches, model)
        for (mean, variance), layer in zip(found, (model[0], model[2]), strict=True):
            torch.testing.assert_close(mean, layer.running_mean, rtol=1e-12, atol=0)
            torch.testing.assert_close(variance, layer.running_var, rtol=1e-12, atol=0)


def test_the_averages_statistics_are_of_the_augmented_clean_images(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset]
) -> None:
    """They are not the trained network's, and the last epoch's augmentation is drawn again."""
    trainer = make_trainer(make_cell(weight_averaging="swa", augment="crop-flip"))
    dataset = load(trainer.cell)
    trained(trainer, dataset, 2)
    again = build_model(trainer.cell.model, trainer.cell.data.shape, 0)
    again.load_state_dict(trainer.measured.state_dict())
    batches = iterate_epoch(dataset.train, trainer.cell, trainer.method.draw, trainer.streams, Ranks(), 2, 0)
    estimate_statistics(again, [batch.x for batch in batches])
    for ours, expected in zip(trainer.measured.buffers(), again.buffers(), strict=True):
        assert torch.equal(ours, expected)
    of_trained = [buffer for name, buffer in trainer.model.named_buffers() if name.endswith("running_mean")]
    of_average = [buffer for name, buffer in trainer.measured.named_buffers() if name.endswith("running_mean")]
    assert not any(torch.equal(one, other) for one, other in zip(of_trained, of_average, strict=True))


def test_a_trial_measures_selects_and_judges_the_average(
    make_cell: Callable[..., Cell],
    run: Callable[..., TrialRecord],
    load: Callable[[Cell], Dataset],
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {"epochs": 4, "lr": 0.02}
    cell = make_cell(weight_averaging="swa", averaging_start=3, **options)
    record, plain = run(cell), run(make_cell(**options), folder="plain")
    files = {folder: torch.load(tmp_path / folder / "last.pt", weights_only=True) for folder in ("trial", "plain")}
    averaged, raw = (files[folder]["model"] for folder in ("trial", "plain"))
    assert any(not torch.equal(averaged[name], raw[name]) for name in averaged)
    model = build_model(cell.model, cell.data.shape, 0)
    model.load_state_dict(averaged)
    protocol = ProtocolOptions(**tiny.VERDICT)
    again = validation_row(model, load(cell).validation, cell.attack.epsilon, protocol, Ranks())
    for name, value in again.items():
        if not name.startswith("time/"):
            assert record.trace[-1][name] == pytest.approx(value, rel=1e-6), name
    for before in (0, 1):  # Averaging has not begun.
        rows = (trial.trace[before] for trial in (record, plain))
        ours, theirs = ({k: v for k, v in row.items() if not k.startswith("time/")} for row in rows)
        assert ours == theirs
    trains = [[row["train/loss"] for row in trial.trace] for trial in (record, plain)]
    assert trains[0] == trains[1]
    assert record.trace[3]["val/clean_loss"] != plain.trace[3]["val/clean_loss"]
