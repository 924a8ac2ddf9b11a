"""ISEAT's steps, compared in float64 with Algorithm 1 as its official code computes it: two networks, two backwards."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Cell
from core.data.image_set import Dataset
from core.engine.trainer import Trainer

pytestmark = pytest.mark.numeric

RADIUS, SMOOTH = 0.05, 0.3


def official_epoch(trainer: Trainer, dataset: Dataset, adv_at: str, clean_at: str) -> None:
    """An epoch with a copy of the network at th. Its gradients are added to those at th + nu (eqs. 9 to 18)."""
    model, options = trainer.model, trainer.cell.training
    optimizer = torch.optim.SGD(
        model.parameters(), lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay
    )
    order = torch.randperm(
        len(dataset.train), generator=trainer.streams.generator("order", 1, device=torch.device("cpu"))
    )
    for batch in order.split(options.batch_size):
        x, y = dataset.train.images[batch].float() / 255, dataset.train.labels[batch]
        original = copy.deepcopy(model).train()
        x_adv = trainer.method.inner.perturb_from(model, x, y, x)
        model.train()
        weights = [w for w in model.parameters() if w.dim() > 1]
        ascent = copy.deepcopy(model)
        F.cross_entropy(ascent(x_adv), y).backward()
        gradients = [w.grad for w in ascent.parameters() if w.dim() > 1]
        moves = [RADIUS * w.detach().norm() / g.norm() * g for w, g in zip(weights, gradients, strict=True)]
        with torch.no_grad():
            torch._foreach_add_(weights, moves)
        at = {"perturbed": model, "original": original}
        adv = model(x_adv)
        compared = adv if adv_at == "perturbed" else original(x_adv)
        clean = at[clean_at](x)
        losses = F.cross_entropy(adv, y, reduction="none")
        vulnerability = (losses - F.cross_entropy(original(x), y, reduction="none")).detach()
        rank = (vulnerability[None] > vulnerability[:, None]).sum(1).double()
        weight = 1 - rank / len(x)
        loss = (losses + SMOOTH * weight * (compared - clean).square().sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            for ours, theirs in zip(model.parameters(), original.parameters(), strict=True):
                if theirs.grad is not None:
                    ours.grad += theirs.grad
        optimizer.step()
        with torch.no_grad():
            torch._foreach_sub_(weights, moves)


@pytest.mark.parametrize(
    ("adv_at", "clean_at"),
    [("perturbed", "original"), ("original", "original"), ("perturbed", "perturbed")],
    ids=["ISEAT", "LSI", "TRADES-AWP"],
)
def test_an_epoch_is_that_of_two_networks(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
    adv_at: str,
    clean_at: str,
) -> None:
    """All parameters and BatchNorm statistics, in the three variants of Table 9."""
    distance = {"smooth": SMOOTH, "adv_at": adv_at, "clean_at": clean_at}
    cell = make_cell(method="iseat", awp_radius=RADIUS, lr=0.05, weight_decay=0.05, nesterov=False, **distance)
    dataset = load(cell)
    ours, theirs = (make_trainer(cell, float64=True) for _ in range(2))
    ours.run_epoch(dataset.train, 1)
    official_epoch(theirs, dataset, adv_at, clean_at)
    assert (weights(ours.model) - weights(theirs.model)).norm() < 1e-9 * weights(theirs.model).norm()
    other = make_trainer(make_cell(**{**cell.flat(), "smooth": 0}), float64=True)
    other.run_epoch(dataset.train, 1)
    assert (weights(other.model) - weights(theirs.model)).norm() > 1e-3 * weights(theirs.model).norm()
