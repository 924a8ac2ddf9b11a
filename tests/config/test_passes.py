"""The cost that methods declare: the worked examples of the papers, and the multiple of clean training."""

from __future__ import annotations

import pytest

from core.config import METHODS, Cell
from core.config.methods.base import CLEAN_TRAINING, Passes
from core.config.passes import passes_per_batch

STEPS = 10
COSTS = {
    # method: options, gradient passes of a batch, forwards without a backward
    "pgd-at": ({}, STEPS + 1, 0),
    "trades": ({}, STEPS + 2, 1),
    "mart": ({}, STEPS + 2, 0),
    "gairat": ({}, STEPS + 1, 0),
    "fat": ({}, STEPS + 1, 0),
    "fat-trades": ({}, STEPS + 2, 1),
    "mixed-at": ({}, STEPS + 2, 0),
    "alp": ({}, STEPS + 2, 0),
    "clp": ({}, 1, 0),
    # AWP, the adversarial and the clean logits, and a forward for the vulnerability
    "iseat": ({}, STEPS + 3, 0),
    "fgsm-at": ({}, 2, 0),
    "rs-fgsm": ({}, 2, 0),
    "sub-at": ({}, 2, 0),
    "free": ({"replays": 8}, 8, 0),
    # the attack, its gradient in train mode, the random point, and the loss with a second backward through the latter
    "grad-align": ({}, 5, 0),
    "ssat": ({"checkpoints": 3}, 2, 2),
    "gat": ({}, 3, 1),
    "seat": ({}, 5, 0),
}
"""Counts of the papers, for each method with its defaults; those with a multi-step attack have 10 steps."""


def passes_of(**options: object) -> Passes:
    return passes_per_batch(Cell.from_flat(options))


def test_clean_training_is_the_unit() -> None:
    assert (CLEAN_TRAINING.gradient_passes, CLEAN_TRAINING.lone_forwards, CLEAN_TRAINING.times_clean) == (1, 0, 1)


@pytest.mark.parametrize("steps", [1, 7, 10, 50])
def test_the_textbooks_example_pgd_with_k_steps_takes_k_plus_1_gradient_computations(steps: int) -> None:
    """For example, PGD-7 takes 8 times the gradient computations of clean training."""
    passes = passes_of(method="pgd-at", attack_steps=steps)
    assert passes.gradient_passes == (steps + 1) * CLEAN_TRAINING.gradient_passes
    # a step of the attack computes no gradient of the weights: 2 forwards' operations, not 3
    assert passes.times_clean == pytest.approx((2 * steps + 3) / 3)


@pytest.mark.parametrize("method", COSTS)
def test_each_method_costs_what_its_paper_counts(method: str) -> None:
    options, gradients, forwards = COSTS[method]
    passes = passes_of(method=method, **options)
    assert (passes.gradient_passes, passes.lone_forwards) == (gradients, forwards)


def test_las_at_adds_a_twentieth_of_its_policys_step() -> None:
    """13 steps and the update; every 20th batch the attack again, a step ahead, and twice PGD-10."""
    assert passes_of(method="las-at", attack_steps=10).gradient_passes == pytest.approx(13 + 1 + (13 + 1 + 2 * 10) / 20)


def test_weight_perturbation_adds_what_it_ascends() -> None:
    assert passes_of(method="pgd-at", awp_radius=0.01).gradient_passes == STEPS + 2
    assert passes_of(method="trades", awp_radius=0.01).gradient_passes == STEPS + 4
    assert passes_of(method="iseat", awp_radius=0).gradient_passes == STEPS + 2
    assert passes_of(method="free", replays=8, awp_radius=0.01).gradient_passes == 16


def test_robust_weight_perturbation_adds_its_steps() -> None:
    assert passes_of(method="pgd-at", rwp_radius=0.01, rwp_steps=10).gradient_passes == STEPS + 1 + 10


def test_epochs_without_weight_perturbation_cost_less() -> None:
    assert passes_of(method="pgd-at", awp_radius=0.01, epochs=10, awp_warmup=5).gradient_passes == STEPS + 1.5
    assert passes_of(method="pgd-at", awp_radius="0then0.01@6", epochs=10).gradient_passes == STEPS + 1.5
    assert passes_of(method="pgd-at", awp_radius=0.01, epochs=10, awp_warmup=20).gradient_passes == STEPS + 1


def test_a_curriculum_of_attack_steps_costs_the_mean_of_its_epochs() -> None:
    assert passes_of(method="pgd-at", attack_steps="0then10@6", epochs=10).gradient_passes == 1 + 5
    assert passes_of(method="trades", attack_steps="1then3@51%", epochs=10).gradient_passes == pytest.approx(3.8)


def test_averaged_weights_need_a_forward_for_batch_normalisation() -> None:
    averaged = {"method": "pgd-at", "weight_averaging": "swa", "epochs": 10, "averaging_start": 6}
    assert passes_of(**averaged).lone_forwards == 0.5
    assert passes_of(**averaged, norm="none").lone_forwards == 0


def test_every_method_is_here() -> None:
    assert {*COSTS, "las-at"} == set(METHODS)


def test_a_cell_without_schedules_is_looked_at_once_for_all_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of thousands of cells of hundreds of epochs would otherwise take minutes."""
    looked: list[int] = []
    in_epoch = Cell.in_epoch

    def counted(cell: Cell, epoch: int) -> Cell:
        looked.append(epoch)
        return in_epoch(cell, epoch)

    monkeypatch.setattr(Cell, "in_epoch", counted)
    one = passes_of(epochs=300, awp_radius=0.01, awp_warmup=299)
    assert looked == [1]
    assert one.gradient_passes == pytest.approx((STEPS + 2) + 2 / 300), "the last epoch perturbs the weights"
    looked.clear()
    changing = passes_of(epochs=300, attack_steps="4then10@151")
    assert set(looked) == set(range(1, 301))
    assert changing.gradient_passes == pytest.approx(7 + 2)
