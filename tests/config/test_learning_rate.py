"""Schedules of the learning rate and the momentum against PyTorch's schedulers, NumPy and published formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, CyclicLR, LRScheduler, MultiStepLR, OneCycleLR

from core.config import Cell
from core.config.learning_rate import rates
from core.config.training import TrainingOptions

EPOCHS, PER_EPOCH = 10, 7
UPDATES = EPOCHS * PER_EPOCH


def options(**given: Any) -> TrainingOptions:
    return Cell.from_flat({"epochs": EPOCHS, "lr": 0.3, **given}).training


def ours(given: TrainingOptions) -> np.ndarray:
    """Learning rate and momentum of all updates, ``(updates, 2)``."""
    return np.array([rates(given, update, PER_EPOCH, given.epochs) for update in range(UPDATES)])


def theirs(scheduler: Callable[[SGD], LRScheduler], *, each_epoch: bool = False) -> np.ndarray:
    """Learning rate and momentum of the updates under a scheduler of PyTorch."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.3, momentum=0.9)
    schedule, found = scheduler(optimizer), []
    for update in range(UPDATES):
        found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        if not each_epoch or (update + 1) % PER_EPOCH == 0:
            schedule.step()
    return np.array(found)


def test_constant_and_step_have_one_rate_in_an_epoch() -> None:
    """Table 5: lr times gamma after the milestones. The floats are those of earlier versions, to the bit."""
    constant, step = ours(options()), ours(options(schedule="step", milestones=[4, 7]))
    assert (constant == (0.3, 0.9)).all()
    multi_step = theirs(lambda optimizer: MultiStepLR(optimizer, [4, 7], gamma=0.1), each_epoch=True)
    np.testing.assert_allclose(step, multi_step, rtol=1e-12)
    expected = [0.3 * 0.1 ** sum(epoch > milestone for milestone in (4, 7)) for epoch in range(1, EPOCHS + 1)]
    assert step[:, 0].tolist() == np.repeat(expected, PER_EPOCH).tolist()


def test_cosine_is_pytorchs() -> None:
    annealed = theirs(lambda optimizer: CosineAnnealingLR(optimizer, T_max=UPDATES))
    np.testing.assert_allclose(ours(options(schedule="cosine")), annealed, rtol=1e-9)


@pytest.mark.parametrize("peak", [0.1, 0.25, 0.3, 0.5, 0.9])
def test_one_cycle_is_pytorchs(peak: float) -> None:
    given = options(schedule="one-cycle", lr_peak=peak, momentum=0.95, peak_momentum=0.85)
    cycled = theirs(lambda optimizer: OneCycleLR(optimizer, max_lr=0.3, total_steps=UPDATES, pct_start=peak))
    np.testing.assert_allclose(ours(given), cycled, rtol=1e-12)


def test_one_cycle_has_pytorchs_peak_and_the_cells_momentum_unless_told() -> None:
    cycled = theirs(lambda optimizer: OneCycleLR(optimizer, max_lr=0.3, total_steps=UPDATES, cycle_momentum=False))
    np.testing.assert_allclose(ours(options(schedule="one-cycle")), cycled, rtol=1e-12)


@pytest.mark.parametrize("peak", [0.4, 0.5])
def test_triangular_is_numpys_interpolation(peak: float) -> None:
    """The codes of GradAlign and AWP: at ``epoch + (i + 1) / len(batches)``, with the peak at 2/5 of the epochs."""
    corners = [0, peak * EPOCHS, EPOCHS]
    times = [epoch + (i + 1) / PER_EPOCH for epoch in range(EPOCHS) for i in range(PER_EPOCH)]
    expected = np.interp(times, corners, [0, 0.3, 0])
    given = options(schedule="triangular") if peak == 0.5 else options(schedule="triangular", lr_peak=peak)
    np.testing.assert_allclose(ours(given)[:, 0], expected, rtol=1e-9, atol=1e-15)


def test_triangular_is_the_cyclic_schedule_of_rs_fgsm_one_update_later() -> None:
    half = UPDATES / 2
    cyclic = theirs(
        lambda optimizer: CyclicLR(
            optimizer, base_lr=0.0, max_lr=0.3, step_size_up=half, step_size_down=half, cycle_momentum=False
        )
    )
    np.testing.assert_allclose(ours(options(schedule="triangular"))[:-1], cyclic[1:], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("schedule", ["cosine", "triangular", "one-cycle"])
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_the_shortest_trainings_have_finite_rates(schedule: str, epochs: int) -> None:
    given = options(schedule=schedule, epochs=epochs)
    found = [rates(given, update, 1, epochs) for update in range(epochs + 2)]
    assert all(0 <= rate.lr <= 0.3 and rate.momentum == 0.9 for rate in found)
    assert found[-1] == found[-2] == found[-3]
