"""The optimiser has the scheduled learning rate and momentum in every update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.config import Cell
from core.config.learning_rate import Rates, rates
from core.data.image_set import Dataset
from core.engine.sgd import Sgd
from core.engine.trainer import Trainer

SCHEDULES: dict[str, dict[str, Any]] = {
    "step": {"schedule": "step", "milestones": [1]},
    "cosine": {"schedule": "cosine"},
    "triangular": {"schedule": "triangular", "lr_peak": 0.4},
    "one-cycle": {"schedule": "one-cycle", "momentum": 0.95, "peak_momentum": 0.85},
}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Rates]:
    """The rates of the updates of all trainers, in order."""
    found: list[Rates] = []
    update = Sgd.step

    def step(optimizer: Sgd) -> None:
        found.extend(Rates(group["lr"], group["momentum"]) for group in optimizer.param_groups)
        update(optimizer)

    monkeypatch.setattr(Sgd, "step", step)
    return found


def train(trainer: Trainer, dataset: Dataset, epochs: int) -> None:
    for epoch in range(1, epochs + 1):
        trainer.run_epoch(dataset.train, epoch, gradient_stride=2)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("method", [{}, {"method": "free", "replays": 3, "attack_steps": 1}])
def test_every_update_has_the_rates_of_its_number(
    name: str,
    method: dict[str, Any],
    seen: list[Rates],
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
) -> None:
    """A replay of Free counts as an update."""
    cell = make_cell(**SCHEDULES[name], **method)
    dataset = load(cell)
    train(make_trainer(cell), dataset, 3)
    per_epoch = 4 * method.get("replays", 1)
    assert seen == [rates(cell.training, update, per_epoch, 3) for update in range(3 * per_epoch)]
    assert len(set(seen)) > 1


def test_the_schedule_of_sub_at_covers_its_first_stage(
    seen: list[Rates],
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
) -> None:
    cell = make_cell(method="sub-at", sampling_share=0.67, subspace_lr=0.05, **SCHEDULES["triangular"])
    train(make_trainer(cell), load(cell), 3)
    first = [rates(cell.training, update, 4, 2) for update in range(8)]
    assert first[-1].lr == 0
    assert seen == [*first, *(Rates(0.05, 0.9) for _ in range(4))]
