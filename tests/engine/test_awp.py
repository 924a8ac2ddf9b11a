"""Adversarial weight perturbation, compared with two explicitly written steps in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Cell
from core.data.image_set import Dataset
from core.engine.ranks import Ranks
from core.engine.trainer import Trainer
from core.engine.weights import AdversarialWeightPerturbation

pytestmark = pytest.mark.numeric

RADIUS = 0.05


def by_hand(trainer: Trainer, dataset: Dataset) -> None:
    """Two steps of Wu et al. (2020): ascent on a copy of the network, perturbation, descent, and its subtraction."""
    cell, model, options = trainer.cell, trainer.model, trainer.cell.training
    cpu = torch.device("cpu")
    order = torch.randperm(len(dataset.train), generator=trainer.streams.generator("order", 1, device=cpu))
    noise = trainer.streams.generator("attack", 1, device=cpu)
    momentum = [torch.zeros_like(parameter) for parameter in model.parameters()]

    def loss(x: Tensor, x_adv: Tensor, y: Tensor) -> Tensor:
        if cell.method.method == "pgd-at":
            return F.cross_entropy(model(x_adv), y)
        clean, adv = model(x), model(x_adv)
        kl = (clean.softmax(1) * (clean.log_softmax(1) - adv.log_softmax(1))).sum(1).mean()
        return F.cross_entropy(clean, y) + cell.method.beta * kl

    for step, batch in enumerate(order.split(options.batch_size)):
        x, y = dataset.train.images[batch].float() / 255, dataset.train.labels[batch]
        start = x + 0.001 * torch.randn(x.shape, generator=noise)
        x_adv = trainer.method.inner.perturb_from(model, x, y, start)
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        parameters = list(model.parameters())
        ascent = torch.autograd.grad(loss(x, x_adv, y), parameters)
        for name, buffer in model.named_buffers():
            buffer.copy_(statistics[name])
        moved = [
            RADIUS * w.norm() / g.norm() * g if w.dim() > 1 else torch.zeros_like(w)
            for w, g in zip(parameters, ascent, strict=True)
        ]
        with torch.no_grad():
            for weight, offset in zip(parameters, moved, strict=True):
                weight.add_(offset)
        gradients = torch.autograd.grad(loss(x, x_adv, y), parameters)
        with torch.no_grad():
            for weight, gradient, velocity, offset in zip(parameters, gradients, momentum, moved, strict=True):
                decayed = gradient + options.weight_decay * weight  # of the perturbed weight
                velocity.mul_(options.momentum if step else 0).add_(decayed)
                weight.sub_(options.lr * (decayed + options.momentum * velocity))
                weight.sub_(offset)


@pytest.mark.parametrize("method", [{}, {"method": "pgd-at", "attack_start": "gaussian"}])
def test_epoch_is_the_one_by_hand(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
    method: dict[str, Any],
) -> None:
    cell = make_cell(awp_radius=RADIUS, weight_decay=0.05, lr=0.05, **method)
    dataset = load(cell)
    ours, theirs = (make_trainer(cell, float64=True) for _ in range(2))
    plain = make_trainer(make_cell(weight_decay=0.05, lr=0.05, **method), float64=True)
    ours.run_epoch(dataset.train, 1)
    by_hand(theirs, dataset)
    assert (weights(ours.model) - weights(theirs.model)).norm() < 1e-9 * weights(theirs.model).norm()
    plain.run_epoch(dataset.train, 1)
    assert (weights(ours.model) - weights(plain.model)).norm() > 1e-3


def official_epochs(trainer: Trainer, dataset: Dataset, warmup: int) -> None:
    """TRADES-AWP as in the loop of the official code (train_trades_cifar.py, utils_awp.py), without this project's."""
    cell, model, options = trainer.cell, trainer.model, trainer.cell.training
    cpu = torch.device("cpu")
    proxy = copy.deepcopy(model)
    proxy_optimizer = torch.optim.SGD(proxy.parameters(), lr=0.01)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay
    )

    def perturb(differences: dict[str, Tensor], factor: float) -> None:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in differences:
                    parameter.add_(factor * differences[name])

    for epoch in range(1, options.epochs + 1):
        order = torch.randperm(len(dataset.train), generator=trainer.streams.generator("order", epoch, device=cpu))
        noise = trainer.streams.generator("attack", epoch, device=cpu)
        for batch in order.split(options.batch_size):
            x, y = dataset.train.images[batch].float() / 255, dataset.train.labels[batch]
            start = x + 0.001 * torch.randn(x.shape, generator=noise)
            x_adv = trainer.method.inner.perturb_from(model, x, y, start)
            model.train()
            if epoch >= warmup:
                proxy.load_state_dict(model.state_dict())
                proxy.train()
                natural = F.cross_entropy(proxy(x), y)
                robust = F.kl_div(F.log_softmax(proxy(x_adv), 1), F.softmax(proxy(x), 1), reduction="batchmean")
                proxy_optimizer.zero_grad()
                (-1.0 * (natural + cell.method.beta * robust)).backward()
                proxy_optimizer.step()
                differences = {}
                for name, old in model.state_dict().items():
                    if old.dim() > 1 and "weight" in name:
                        step = proxy.state_dict()[name] - old
                        differences[name] = old.norm() / (step.norm() + 1e-20) * step
                perturb(differences, RADIUS)
            robust = F.kl_div(F.log_softmax(model(x_adv), 1), F.softmax(model(x), 1), reduction="batchmean")
            natural = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            (natural + cell.method.beta * robust).backward()
            optimizer.step()
            if epoch >= warmup:
                perturb(differences, -RADIUS)


def test_trades_awp_is_the_official_loop_with_its_order_of_forwards_and_its_warm_up(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
) -> None:
    """BatchNorm's statistics depend on the order. The official code starts in its 1-based epoch ``warmup``."""
    official: dict[str, Any] = {"clean_forwards": 2, "adversarial_first": True, "nesterov": False, "beta": 6}
    common: dict[str, Any] = {"lr": 0.05, "epochs": 3, "awp_radius": RADIUS, "awp_warmup": 1}
    dataset = load(make_cell(**common))

    def trained(**options: Any) -> Tensor:
        trainer = make_trainer(make_cell(**common, **{**official, **options}), float64=True)
        for epoch in (1, 2, 3):
            trainer.run_epoch(dataset.train, epoch)
        return weights(trainer.model)

    theirs = make_trainer(make_cell(**common, **official), float64=True)
    official_epochs(theirs, dataset, warmup=2)
    expected = weights(theirs.model)
    assert (trained() - expected).norm() < 1e-8 * expected.norm()
    assert (trained(adversarial_first=False) - expected).norm() > 1e-6 * expected.norm()


def test_warm_up_epochs_train_without_it(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
) -> None:
    late, never = make_cell(awp_radius=RADIUS, awp_warmup=1), make_cell()
    train = load(never).train
    ours, plain = make_trainer(late), make_trainer(never)
    ours.run_epoch(train, 1)
    plain.run_epoch(train, 1)
    assert torch.equal(weights(ours.model), weights(plain.model))
    ours.run_epoch(train, 2)
    plain.run_epoch(train, 2)
    assert not torch.equal(weights(ours.model), weights(plain.model))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 65536.0])
def test_offsets_have_the_radius_whatever_the_losses_scale(scale: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3)).double()
    before = [buffer.clone() for buffer in model.buffers()]
    x, y = torch.rand(8, 1, 4, 4).double(), torch.arange(8) % 3
    loss = lambda: scale * F.cross_entropy(model(x), y)  # noqa: E731
    offsets = AdversarialWeightPerturbation(RADIUS).offsets(model, loss, Ranks())
    weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    assert len(offsets) == len(weights) == 2
    for offset, weight in zip(offsets, weights, strict=True):
        assert offset.norm().item() == pytest.approx(RADIUS * weight.norm().item(), rel=1e-9)
    assert all(torch.equal(b, a) for b, a in zip(before, model.buffers(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_weight_whose_gradient_overflowed_stays() -> None:
    model = nn.Linear(2, 2, bias=False)
    loss = lambda: (model.weight * torch.tensor([[1.0, torch.inf], [1.0, torch.nan]])).sum()  # noqa: E731
    (offset,) = AdversarialWeightPerturbation(RADIUS).offsets(model, loss, Ranks())
    assert offset.tolist() == [[0, 0], [0, 0]]
