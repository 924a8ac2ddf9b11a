"""The optimiser against torch's own, and the modules that it does without."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn

from core.config import Cell
from core.engine.sgd import Sgd
from core.records import TrialRecord

RATES = [(0.1, 0.9), (0.3, 0.0), (0.2, 0.9), (0.05, 0.5)]


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    return model, copy.deepcopy(model)


def ours(model: nn.Module, **options: float) -> Sgd:
    chosen = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, **options}
    return Sgd(model.parameters(), nesterov=bool(chosen["momentum"]), buffers=bool(chosen["momentum"]), **chosen)


def theirs(model: nn.Module, **options: float) -> torch.optim.SGD:
    chosen = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, **options}
    return torch.optim.SGD(model.parameters(), nesterov=bool(chosen["momentum"]), fused=True, **chosen)


def train(model: nn.Module, optimizer: Sgd | torch.optim.SGD, rates: list[tuple[float, float]]) -> None:
    data = torch.Generator().manual_seed(1)
    for lr, momentum in rates:
        optimizer.param_groups[0] |= {"lr": lr, "momentum": momentum, "nesterov": momentum > 0}
        optimizer.zero_grad()
        model(torch.randn(8, 5, generator=data)).square().mean().backward()
        optimizer.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_weights_are_those_of_torchs_optimiser_bit_for_bit() -> None:
    one, other = networks()
    before = copy.deepcopy(one)
    train(one, ours(one), RATES)
    train(other, theirs(other), RATES)
    assert same(one, other)
    assert not same(one, before)
    assert torch.equal(one.unused, before.unused)


def test_with_loss_scaling_an_overflow_skips_the_step_and_the_weights_are_those_of_torchs_optimiser() -> None:
    one, other = networks()
    before = copy.deepcopy(one)
    torchs = theirs(other)
    for weight in other.parameters():  # torch's kernel would leave new momentum uninitialised after the overflow
        torchs.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    for model, optimizer in ((one, ours(one)), (other, torchs)):
        scaler, data = torch.amp.GradScaler("cpu", init_scale=2.0**10), torch.Generator().manual_seed(1)
        for factor in (float("inf"), 1.0, 1.0):
            optimizer.zero_grad()
            loss = model(torch.randn(8, 5, generator=data)).square().mean() * factor
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            if factor > 1:
                assert same(model, before)
    assert same(one, other)
    assert not same(one, before)


def test_an_optimiser_that_never_has_momentum_keeps_no_buffers() -> None:
    one, other = networks()
    optimizer = ours(one, momentum=0.0)
    train(one, optimizer, [(0.1, 0.0)] * 3)
    train(other, theirs(other, momentum=0.0), [(0.1, 0.0)] * 3)
    assert same(one, other)
    assert optimizer.state == {}


def test_the_state_of_torchs_optimiser_is_continued() -> None:
    """Checkpoints of earlier versions have it."""
    one, other = networks()
    first = theirs(other)
    train(other, first, RATES[:2])
    one.load_state_dict(other.state_dict())
    second = ours(one)
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == first.param_groups[0]["lr"]
    train(one, second, RATES)
    train(other, first, RATES)
    assert same(one, other)


def test_a_restored_optimiser_continues_and_shares_no_tensor() -> None:
    one, other = networks()
    first, second = ours(one), ours(other)
    train(one, first, RATES[:2])
    other.load_state_dict(one.state_dict())
    second.load_state_dict(first.state_dict())
    train(one, first, RATES)
    train(other, second, RATES)
    assert same(one, other)


def test_a_trial_does_not_import_torchs_compiler(
    make_cell: Callable[..., Cell], run: Callable[..., TrialRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its import takes as long as that of torch."""
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    record = run(make_cell(epochs=2))
    assert record.verdict is not None
    assert record.epochs_run == 2
