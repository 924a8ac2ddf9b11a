"""Robust weight perturbation, compared with two explicitly written steps in float64 and with closed cases."""

from __future__ import annotations

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
from core.engine.weights import AdversarialWeightPerturbation, RobustWeightPerturbation

pytestmark = pytest.mark.numeric

RADIUS, STEPS, THRESHOLD = 0.05, 3, 1.6
X, Y = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double(), torch.arange(8) % 3


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3)).double()


def losses(cell: Cell, model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> Tensor:
    if cell.method.method == "pgd-at":
        return F.cross_entropy(model(x_adv), y, reduction="none")
    clean, adv = model(x), model(x_adv)
    kl = (clean.softmax(1) * (clean.log_softmax(1) - adv.log_softmax(1))).sum(1)
    return F.cross_entropy(clean, y, reduction="none") + cell.method.beta * kl


def by_hand(trainer: Trainer, dataset: Dataset) -> list[Tensor]:
    """An epoch of the paper's Algorithm 1, image by image and tensor by tensor; returns which images counted."""
    cell, model, options = trainer.cell, trainer.model, trainer.cell.training
    cpu = torch.device("cpu")
    order = torch.randperm(len(dataset.train), generator=trainer.streams.generator("order", 1, device=cpu))
    noise = trainer.streams.generator("attack", 1, device=cpu)
    momentum = [torch.zeros_like(parameter) for parameter in model.parameters()]
    moving = [weight for weight in model.parameters() if weight.dim() > 1]
    counted = []
    for step, batch in enumerate(order.split(options.batch_size)):
        x, y = dataset.train.images[batch].float() / 255, dataset.train.labels[batch]
        start = x + 0.001 * torch.randn(x.shape, generator=noise)
        x_adv = trainer.method.inner.perturb_from(model, x, y, start)
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        originals = [weight.detach().clone() for weight in moving]
        length = torch.cat([weight.flatten() for weight in originals]).norm()
        d = [torch.zeros_like(weight) for weight in originals]
        moved = d
        for _ in range(STEPS):
            found = losses(cell, model, x, x_adv, y)
            few = [loss for loss in found if loss < THRESHOLD]
            counted.append(torch.tensor(len(few) / len(found)))
            total = torch.stack(few).sum() / len(found) if few else 0 * found.sum()
            d = [sum_ + g for sum_, g in zip(d, torch.autograd.grad(total, moving), strict=True)]
            size = torch.cat([part.flatten() for part in d]).norm()
            moved = [RADIUS * length / (size + 1e-20) * part for part in d]
            with torch.no_grad():
                for weight, original, offset in zip(moving, originals, moved, strict=True):
                    weight.copy_(original + offset)
        for name, buffer in model.named_buffers():
            buffer.copy_(statistics[name])
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(losses(cell, model, x, x_adv, y).mean(), parameters)
        with torch.no_grad():
            for weight, gradient, velocity in zip(parameters, gradients, momentum, strict=True):
                decayed = gradient + options.weight_decay * weight
                velocity.mul_(options.momentum if step else 0).add_(decayed)
                weight.sub_(options.lr * (decayed + options.momentum * velocity))
            for weight, offset in zip(moving, moved, strict=True):
                weight.sub_(offset)
    return counted


@pytest.mark.parametrize("method", [{}, {"method": "pgd-at", "attack_start": "gaussian"}])
def test_epoch_is_the_one_by_hand(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
    method: dict[str, Any],
) -> None:
    options = {"weight_decay": 0.05, "lr": 0.05, **method}
    cell = make_cell(rwp_radius=RADIUS, rwp_steps=STEPS, rwp_threshold=THRESHOLD, **options)
    dataset = load(cell)
    ours, theirs = (make_trainer(cell, float64=True) for _ in range(2))
    ours.run_epoch(dataset.train, 1)
    counted = torch.stack(by_hand(theirs, dataset))
    assert 0 < counted.mean() < 1
    assert (weights(ours.model) - weights(theirs.model)).norm() < 1e-9 * weights(theirs.model).norm()
    plain = make_trainer(make_cell(**options), float64=True)
    plain.run_epoch(dataset.train, 1)
    assert (weights(ours.model) - weights(plain.model)).norm() > 1e-3


def offsets(model: nn.Module, threshold: float = 1.7, steps: int = 10, scale: float = 1.0) -> list[Tensor]:
    def loss() -> Tensor:
        found = F.cross_entropy(model(X), Y, reduction="none")
        return scale * (found * (found.detach() < threshold)).mean()

    return RobustWeightPerturbation(RADIUS, steps, threshold).offsets(model, loss, Ranks())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 65536.0])
def test_the_norm_of_all_tensors_together_is_the_radius(scale: float) -> None:
    model = network()
    before = [tensor.clone() for tensor in model.state_dict().values()]
    found = offsets(model, scale=scale)
    weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    assert len(found) == len(weights) == 2
    both = [torch.cat([tensor.flatten() for tensor in tensors]).norm().item() for tensors in (found, weights)]
    assert both[0] == pytest.approx(RADIUS * both[1], rel=1e-9)
    alone = [offset.norm() / weight.norm() for offset, weight in zip(found, weights, strict=True)]
    assert abs(alone[0] - alone[1]) > 0.1 * RADIUS
    assert all(torch.equal(b, a) for b, a in zip(before, model.state_dict().values(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_one_step_on_one_tensor_without_threshold_is_awp() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    loss = lambda: F.cross_entropy(model(X), Y)  # noqa: E731
    (ours,) = RobustWeightPerturbation(RADIUS, 1, 1e6).offsets(model, loss, Ranks())
    (theirs,) = AdversarialWeightPerturbation(RADIUS).offsets(model, loss, Ranks())
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_no_weight_moves_if_no_image_counts() -> None:
    assert all((offset == 0).all() for offset in offsets(network(), threshold=0.01))


def test_images_above_the_threshold_do_not_pull() -> None:
    """A second image of the same batch, whose loss is high, changes neither direction nor size."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 3.0]]))
    right, wrong = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[1.0, 1.0], [1.0, 0.0]]).double()

    def found(x: Tensor, y: Tensor) -> Tensor:
        def loss() -> Tensor:
            values = F.cross_entropy(model(x), y, reduction="none")
            return (values * (values.detach() < 1.0)).mean()

        return RobustWeightPerturbation(RADIUS, 4, 1.0).offsets(model, loss, Ranks())[0]

    alone = found(right, torch.tensor([0]))
    both = found(torch.cat([right, wrong[1:]]), torch.tensor([0, 1]))
    torch.testing.assert_close(alone, both, rtol=1e-12, atol=0)


def test_elements_of_a_gradient_that_overflowed_count_as_zero() -> None:
    model = nn.Linear(2, 2, bias=False)
    loss = lambda: (model.weight * torch.tensor([[3.0, torch.inf], [4.0, torch.nan]])).sum()  # noqa: E731
    (offset,) = RobustWeightPerturbation(RADIUS, 2, 1e6).offsets(model, loss, Ranks())
    expected = RADIUS * model.weight.norm() / 5 * torch.tensor([[3.0, 0.0], [4.0, 0.0]])
    torch.testing.assert_close(offset, expected)
