"""Evidence, gradient norms and landscapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.attacks import build_attack, robust_accuracy
from core.config import ProtocolOptions
from core.probes import collect_evidence, flat_gradient, gradient_cosine, loss_landscape

pytestmark = pytest.mark.numeric


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


def test_evidence_says_what_was_measured(network):
    model = network()
    images = (torch.rand((50, 1, 8, 8), generator=generator()) * 255).to(torch.uint8)
    labels = model.eval()(images / 255).argmax(1)
    protocol = ProtocolOptions(eval_steps=7, eval_step_fraction=0.5, square_queries=30, pgd50_restarts=2)
    evidence = collect_evidence(model, images, labels, 0.03, protocol, 9, "alarm", 12, "validation", batch_size=20)
    assert (evidence.checkpoint, evidence.epoch) == ("alarm", 12)
    rows = {m.attack: m for m in evidence.measurements}
    assert list(rows) == ["clean", "fgsm", "pgd-10", "pgd-50x5", "square"]
    assert rows["clean"].accuracy == 1
    assert (rows["clean"].epsilon, rows["clean"].seed, rows["clean"].steps) == (None, None, None)
    assert [(m.steps, m.restarts, m.queries) for m in evidence.measurements[1:]] == [
        (1, 1, None),
        (7, 1, None),
        (50, 2, None),
        (None, None, 30),
    ]
    assert {(m.images, m.split, m.precision) for m in rows.values()} == {(50, "validation", "fp32")}
    assert {(m.epsilon, m.seed) for m in evidence.measurements[1:]} == {(0.03, 9)}
    one_image = 0.02 + 1e-9  # The value may depend on rounding, which differs for another batch size.
    pgd7 = robust_accuracy(model, build_attack("pgd-7", 0.03, 0.5), images, labels, 9)
    assert rows["pgd-10"].accuracy == pytest.approx(pgd7, abs=one_image)
    leaf = (images / 255).requires_grad_()
    F.cross_entropy(model.eval()(leaf), labels).backward()
    fgsm = (leaf.detach() + 0.03 * leaf.grad.sign()).clamp(0, 1)
    by_hand = (model(fgsm).argmax(1) == labels).sum().item() / 50
    assert rows["fgsm"].accuracy == pytest.approx(by_hand, abs=one_image)
    assert rows["pgd-50x5"].accuracy <= rows["pgd-10"].accuracy <= rows["fgsm"].accuracy < 1


def test_gradients_and_cosine_by_hand():
    weight, bias = torch.tensor([3.0, 4.0], requires_grad=True), torch.tensor(2.0, requires_grad=True)
    ce = 0.5 * (weight**2).sum()  # gradient (3, 4; 0)
    kl = weight[0] * bias  # gradient (2, 0; 3)
    assert flat_gradient(ce, [weight, bias]).tolist() == [3, 4, 0]
    assert flat_gradient(kl, [weight, bias]).tolist() == [2, 0, 3]
    before = flat_gradient(ce + kl, [weight, bias])
    assert before.tolist() == [5, 4, 3]
    assert weight.grad is None
    assert bias.grad is None
    (ce + kl).backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [5, 4]
    after = torch.tensor([0.0, 3.0, -4.0])
    assert gradient_cosine(before, after).item() == pytest.approx(0, abs=1e-6)
    assert gradient_cosine(before, -2 * before).item() == pytest.approx(-1)


def test_landscape_of_a_linear_model_is_its_formula():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2)).double()
    x = torch.rand((3, 1, 3, 3), generator=generator(), dtype=torch.float64)
    y = torch.tensor([0, 1, 1])
    weight = (model[1].weight[1] - model[1].weight[0]).detach().numpy()
    bias = (model[1].bias[1] - model[1].bias[0]).item()
    r2 = torch.randint(0, 2, x.shape, generator=generator(4)).double().flatten(1).numpy() * 2 - 1
    found = loss_landscape(model, x, y, radius=0.4, points=5, seed=4, batch_size=7)
    assert found.loss.shape == (3, 5, 5)
    np.testing.assert_allclose(found.offsets, [-0.4, -0.2, 0, 0.2, 0.4], atol=1e-7)
    for i, image in enumerate(x.flatten(1).numpy()):
        sign = 1 if y[i] == 0 else -1
        for a, along in enumerate(found.offsets):
            for b, across in enumerate(found.offsets):
                difference = weight @ (image + along * sign * np.sign(weight) + across * r2[i]) + bias
                assert found.loss[i, a, b] == pytest.approx(np.log1p(np.exp(sign * difference)), abs=1e-6)


def test_landscape_has_the_loss_at_its_middle_and_rises_along_the_gradient(network):
    model = network().double().train()
    x, y = torch.rand((4, 1, 8, 8), generator=generator(), dtype=torch.float64), torch.tensor([0, 1, 2, 3])
    found = loss_landscape(model, x, y, radius=0.01, points=3, seed=0)
    assert model.training
    with torch.no_grad():
        loss = F.cross_entropy(model.eval()(x), y, reduction="none").numpy()
    np.testing.assert_allclose(found.loss[:, 1, 1], loss, rtol=1e-5)
    assert (found.loss[:, 2, 1] > found.loss[:, 1, 1]).all()
    assert (found.loss[:, 1, 1] > found.loss[:, 0, 1]).all()
