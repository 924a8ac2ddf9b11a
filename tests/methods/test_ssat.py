"""Single-step adversarial training with checkpoints against its algorithm written down image by image, in float64."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attacks.line_search import first_misclassified
from core.config import Cell
from core.methods import build_method
from tests.methods.lookup import Lookup, PlainRun, logits, objective_of, whole_batch

pytestmark = pytest.mark.numeric

EPSILON = 0.2


def network() -> nn.Module:
    """Its train mode and its eval mode classify differently, and its boundaries are curved."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(9, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    with torch.no_grad():
        model[2].weight.mul_(6)
        model[0].running_mean.fill_(0.4)
        model[0].running_var.fill_(0.1)
    return model


def by_hand(model: nn.Module, x: Tensor, y: Tensor, start: Tensor, checkpoints: int, *, train: bool) -> tuple[Any, Any]:
    """Images to train on, and which part of the perturbation each one has: 0 for none."""
    stepping, testing = deepcopy(model).train(train), deepcopy(model).eval()
    image = start.clone().requires_grad_()
    z = stepping(image)
    (gradient,) = torch.autograd.grad(F.cross_entropy(z, y), image)
    delta = (start + 1.25 * EPSILON * gradient.sign() - x).clamp(-EPSILON, EPSILON)
    delta = (x + delta).clamp(0, 1) - x
    parts = []
    for i in range(len(x)):
        part = checkpoints
        for k in range(1, checkpoints):
            if testing((x[i] + delta[i] * k / checkpoints)[None]).argmax() != y[i]:
                part = k
                break
        parts.append(part if z[i].argmax() == y[i] else 0)
    share = torch.tensor(parts, dtype=torch.float64).view(-1, 1, 1, 1) / checkpoints
    return x + delta * share, parts


@pytest.mark.parametrize("bn", ["train", "eval"])
@pytest.mark.parametrize("checkpoints", [1, 2, 3, 5])
def test_the_attack_ends_where_it_first_fools(bn: str, checkpoints: int) -> None:
    options = {"epsilon": EPSILON, "checkpoints": checkpoints, "attack_bn": bn}
    built = build_method(Cell.from_flat({"method": "ssat", **options}))
    model = network()
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(60, 1, 3, 3, generator=generator, dtype=torch.float64)
    y = deepcopy(model).eval()(x).argmax(1)
    start = built.draw(x, y, generator)["start"]
    state = deepcopy(model.state_dict())
    run: Any = PlainRun(model.train())
    found = built.attack(run, whole_batch(x, y, start=start))["x"]
    expected, parts = by_hand(model, x, y, start, checkpoints, train=bn == "train")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    assert set(parts) == set(range(checkpoints + 1)), "every case occurs"
    assert model.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), state.values(), strict=True))


def test_the_search_takes_the_nearest_of_several_misclassified_images() -> None:
    """Pixels 0 to 1; class 1 in two intervals. The end of the way itself is not tested."""

    def predict(x: Tensor) -> Tensor:
        at = x.flatten(1)[:, 0]
        inside = ((at > 0.2) & (at < 0.3)) | ((at > 0.7) & (at < 0.8))
        return torch.stack([~inside, inside], dim=1).double()

    x = torch.tensor([0.0, 0.5, 0.0, 1.0]).view(4, 1, 1, 1)
    x_adv = torch.tensor([1.0, 1.0, 0.15, 0.0]).view(4, 1, 1, 1)
    found = first_misclassified(predict, x, x_adv, torch.zeros(4, dtype=torch.int64), 4)
    assert found.flatten().tolist() == pytest.approx([0.25, 0.75, 0.15, 0.75])
    assert torch.equal(first_misclassified(predict, x, x_adv, torch.zeros(4, dtype=torch.int64), 1), x_adv)


def test_the_step_is_that_of_rs_fgsm() -> None:
    ssat, rs_fgsm = (Cell.from_flat({"method": name, "epsilon": "8/255"}).attack for name in ("ssat", "rs-fgsm"))
    assert ssat == rs_fgsm.model_copy(update={"attack_bn": "train"})
    assert ssat.attack_step_size == pytest.approx(10 / 255)


def test_the_loss_is_the_cross_entropy_of_the_images_found() -> None:
    y = torch.tensor([0, 2, 1])
    adv = logits(1)
    found = objective_of(Cell.from_flat({"method": "ssat", "classes": 3}), Lookup(), adv, adv, y)
    assert found.total.item() == pytest.approx(-adv.softmax(1)[range(3), y].log().mean().item(), rel=1e-12)
