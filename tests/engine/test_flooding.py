"""Flooding of any method's loss, compared in float64 with a loop that minimises ``|L - b| + b`` by autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Cell
from core.data.image_set import Dataset
from core.engine.trainer import Trainer

pytestmark = pytest.mark.numeric


def by_hand(trainer: Trainer, dataset: Dataset, level: float) -> list[float]:
    """An epoch of TRADES whose loss is flooded, and the batches' losses."""
    cell, model, options = trainer.cell, trainer.model, trainer.cell.training
    cpu = torch.device("cpu")
    order = torch.randperm(len(dataset.train), generator=trainer.streams.generator("order", 1, device=cpu))
    noise = trainer.streams.generator("attack", 1, device=cpu)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay
    )
    losses = []
    for batch in order[: len(order) // options.batch_size * options.batch_size].split(options.batch_size):
        x, y = dataset.train.images[batch].float() / 255, dataset.train.labels[batch]
        x_adv = trainer.method.inner.perturb_from(model, x, y, x + 0.001 * torch.randn(x.shape, generator=noise))
        clean, adv = model(x), model(x_adv)
        kl = F.kl_div(adv.log_softmax(1), clean.softmax(1), reduction="batchmean")
        loss = F.cross_entropy(clean, y) + cell.method.beta * kl
        optimizer.zero_grad()
        ((loss - level).abs() + level).backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_an_epoch_minimises_the_flooded_loss_and_reports_the_loss_itself(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
) -> None:
    options = {"lr": 0.05, "nesterov": False, "weight_decay": 0.05, "batch_size": 8, "drop_last": True}
    unflooded = make_trainer(make_cell(**options), float64=True)
    dataset = load(unflooded.cell)
    level = float(torch.tensor(by_hand(make_trainer(unflooded.cell, float64=True), dataset, 0.0)).median()) + 1e-3
    ours, theirs = (make_trainer(make_cell(**options, flood_loss=level), float64=True) for _ in range(2))
    row, _ = ours.run_epoch(dataset.train, 1)
    losses = by_hand(theirs, dataset, level)
    assert min(losses) < level < max(losses), "one side of the level is not tried"
    assert (weights(ours.model) - weights(theirs.model)).norm() < 1e-7 * weights(theirs.model).norm()
    assert row["train/loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-7)
    unflooded.run_epoch(dataset.train, 1)
    assert (weights(ours.model) - weights(unflooded.model)).norm() > 1e-3
