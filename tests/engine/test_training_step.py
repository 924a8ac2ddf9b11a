"""Training, compared with a textbook loop in plain torch, and the cost of one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Cell
from core.data.image_set import Dataset
from core.engine.trainer import Trainer

pytestmark = pytest.mark.numeric


def textbook_perturb(
    model: nn.Module, x: Tensor, start: Tensor, step_size: float, epsilon: float, steps: int
) -> Tensor:
    """The attack of Zhang et al. in eval mode. It recomputes clean logits at every step, and clamps to ball and box."""
    model.eval()
    x_adv = start.detach()
    for _ in range(steps):
        x_adv.requires_grad_()
        with torch.enable_grad():
            loss = nn.KLDivLoss(reduction="sum")(F.log_softmax(model(x_adv), dim=1), F.softmax(model(x), dim=1))
        grad = torch.autograd.grad(loss, [x_adv])[0]
        x_adv = x_adv.detach() + step_size * torch.sign(grad.detach())
        x_adv = torch.min(torch.max(x_adv, x - epsilon), x + epsilon)
        x_adv = torch.clamp(x_adv, 0.0, 1.0)
    model.train()
    return x_adv


def textbook_epochs(trainer: Trainer, dataset: Dataset, forwards: int) -> None:
    """TRADES as in the authors' code, with two or three train-mode forwards and plain SGD."""
    cell, model = trainer.cell, trainer.model
    options, attack, beta = cell.training, cell.attack, cell.method.beta
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=options.lr,
        momentum=options.momentum,
        nesterov=options.nesterov,
        weight_decay=options.weight_decay,
        foreach=False,
        fused=False,
    )
    train = dataset.train
    cpu = torch.device("cpu")
    for epoch in range(1, options.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = options.lr * (options.lr_decay if options.milestones and epoch > options.milestones[0] else 1)
        order = torch.randperm(len(train), generator=trainer.streams.generator("order", epoch, device=cpu))
        noise = trainer.streams.generator("attack", epoch, device=cpu)
        for batch in order.split(options.batch_size):
            x, y = train.images[batch].float() / 255, train.labels[batch]
            if attack.attack_start == "uniform":
                start = (x + attack.epsilon * (2 * torch.rand(x.shape, generator=noise) - 1)).clamp(0, 1)
            else:
                start = x + 0.001 * torch.randn(x.shape, generator=noise)
            x_adv = textbook_perturb(model, x, start, attack.attack_step_size, attack.epsilon, attack.attack_steps)
            optimizer.zero_grad()
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            if forwards == 2:
                adv = model(x_adv)
                target = model(x)
            else:
                adv, target = model(x_adv), logits
            loss += beta * F.kl_div(F.log_softmax(adv, 1), F.softmax(target, 1), reduction="sum") / len(x)
            loss.backward()
            optimizer.step()


def trajectory_cell(make_cell: Callable[..., Cell], **options: Any) -> Cell:
    return make_cell(attack_steps=3, epochs=2, schedule="step", milestones=[1], **options)


@pytest.mark.parametrize("forwards", [1, 2])
def test_trajectory_is_the_textbook_loops(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
    forwards: int,
) -> None:
    cell = trajectory_cell(make_cell, clean_forwards=forwards, lr=0.05)
    dataset = load(cell)
    ours, theirs = make_trainer(cell, float64=True), make_trainer(cell, float64=True)
    initial = weights(ours.model)
    for epoch in (1, 2):
        ours.run_epoch(dataset.train, epoch)
    textbook_epochs(theirs, dataset, forwards)
    moved = (weights(theirs.model) - initial).norm()
    assert moved > 1
    assert (weights(ours.model) - weights(theirs.model)).norm() < 1e-9 * moved


@pytest.mark.parametrize("fast", [False, True])
def test_a_float32_trajectory_is_as_exact_as_the_textbooks(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
    fast: bool,
) -> None:
    """Both float32 trajectories are compared with the textbook's float64 trajectory.

    If a gradient of the attack is almost 0, rounding decides its sign, and trajectories diverge. This also happens in
    the textbook loop. Far from the clean image it is rare, and over several seeds it is equally frequent in both.
    """
    cell = trajectory_cell(make_cell, lr=0.005, fast=fast, attack_start="uniform")
    dataset = load(cell)
    ratios = []
    for seed in range(4):
        ours, textbook, exact = (make_trainer(cell, seed=seed, float64=float64) for float64 in (False, False, True))
        for epoch in (1, 2):
            ours.run_epoch(dataset.train, epoch)
        for trainer in (textbook, exact):
            textbook_epochs(trainer, dataset, 1)
        errors = [(weights(trainer.model) - weights(exact.model)).norm() for trainer in (ours, textbook)]
        ratios.append((errors[0] / errors[1]).log())
    assert torch.stack(ratios).mean().exp() < 2


class Counted(torch.autograd.Function):
    passes: ClassVar = [0, 0]

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        Counted.passes[0] += 1
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        Counted.passes[1] += 1
        return gradient


class Counting(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return Counted.apply(self.network(x))


@pytest.mark.parametrize(
    ("options", "forwards", "backwards"),
    [
        # papers/003, example 1: PGD-7 needs 7 gradients in the attack and one in the update, 8 times clean training.
        ({"method": "pgd-at", "inner": "ce", "attack_steps": 7}, 8, 8),
        # TRADES needs one forward for all clean logits of the attack, and two forwards and backwards in the update.
        ({"attack_steps": 10}, 1 + 10 + 2, 10 + 2),
        ({"attack_steps": 10, "clean_forwards": 2}, 1 + 10 + 3, 10 + 3),
    ],
)
def test_a_step_costs_what_the_paper_counts(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    options: dict[str, Any],
    forwards: int,
    backwards: int,
) -> None:
    cell = make_cell(batch_size=61, fast=False, **options)
    trainer = make_trainer(cell)
    counting = Trainer(cell, Counting(trainer.model), trainer.streams, trainer.ranks)
    Counted.passes = [0, 0]
    counting.run_epoch(load(cell).train, 1)
    assert Counted.passes == [forwards, backwards]


def test_epoch_rows_are_means_over_images(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset]
) -> None:
    """With a learning rate near 0 the weights do not change, so that the whole epoch can be recomputed."""
    cell = make_cell(lr=1e-30, weight_decay=0, norm="none", attack_start="none")
    trainer, train = make_trainer(cell), load(cell).train
    row, gradients = trainer.run_epoch(train, 1)
    x, y = train.images.float() / 255, train.labels
    with torch.no_grad():
        logits = trainer.model(x)
        adv = trainer.model(trainer.method.inner.perturb(trainer.model, x, y, torch.Generator()))
        kl = (logits.softmax(1) * (logits.log_softmax(1) - adv.log_softmax(1))).sum(1)
        loss = (F.cross_entropy(logits, y, reduction="none") + cell.method.beta * kl).mean()
    assert gradients == []
    assert row["train/loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert row["train/clean_acc"] == pytest.approx((logits.argmax(1) == y).float().mean().item())
    assert row["train/adv_acc"] == pytest.approx((adv.argmax(1) == y).float().mean().item())
    assert row["train/gap"] == pytest.approx(row["train/clean_acc"] - row["train/adv_acc"])  # type: ignore[operator]
    assert row["train/lr"] == 1e-30


def test_a_method_that_never_sees_clean_images_reports_no_clean_accuracy(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset]
) -> None:
    cell = make_cell(method="pgd-at", inner="ce")
    row, _ = make_trainer(cell).run_epoch(load(cell).train, 1)
    assert {name for name in row if name.startswith("train/")} == {"train/loss", "train/adv_acc", "train/lr"}


@pytest.mark.parametrize("drop_last", [False, True])
def test_drop_last_drops_the_uneven_batch(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    drop_last: bool,
) -> None:
    cell = make_cell(drop_last=drop_last)
    trainer, train = make_trainer(cell), load(cell).train
    trainer.run_epoch(train, 1)
    steps = int(trainer.model.get_buffer("1.num_batches_tracked")) // 2
    assert steps == trainer.count_steps(len(train)) == (3 if drop_last else 4)
