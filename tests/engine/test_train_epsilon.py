"""A radius of the training attack that is not the threat model's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from core.attacks import Pgd
from core.config import Cell
from core.engine.trainer import Trainer
from core.records import TrialRecord

pytestmark = pytest.mark.numeric


def test_only_the_training_attack_has_the_training_radius(
    make_cell: Callable[..., Cell], run: Callable[..., TrialRecord]
) -> None:
    """Validation, FOSC and verdict of equal weights are equal: the learning rate is too small to move them."""
    still = {"lr": 1e-30, "weight_decay": 0, "norm": "none", "epochs": 1}
    plain, beyond = (
        run(make_cell(**still, train_epsilon=radius), folder=str(radius), protocol={"gradient_stride": 4})
        for radius in (None, 0.3)
    )
    validated = [
        {name: value for name, value in record.trace[0].items() if name.startswith("val/")}
        for record in (plain, beyond)
    ]
    assert validated[0] == validated[1]
    assert plain.verdict == beyond.verdict
    assert plain.trace[0]["train/loss"] < beyond.trace[0]["train/loss"]  # type: ignore[operator]
    assert plain.gradients[0]["kl_norm"] < beyond.gradients[0]["kl_norm"]  # type: ignore[operator]
    assert (plain.cell["train_epsilon"], beyond.cell["train_epsilon"]) == (None, 0.3)


@pytest.mark.parametrize(
    ("method", "step_size"), [("fgsm-at", 16 / 255), ("rs-fgsm", 20 / 255), ("sub-at", 20 / 255), ("pgd-at", 2 / 255)]
)
def test_step_sizes_relative_to_the_radius_follow_the_training_radius(method: str, step_size: float) -> None:
    """SubAT trains at 16/255 with steps of 20/255 for a threat model of 8/255."""
    cell = Cell.from_flat({"method": method, "epsilon": "8/255", "train_epsilon": "16/255"})
    assert cell.attack.attack_step_size == pytest.approx(step_size)
    assert cell.attack.epsilon == 8 / 255


def test_starts_fill_the_larger_ball(make_trainer: Callable[..., Trainer]) -> None:
    cell = Cell.from_flat({"method": "gat", "train_epsilon": 0.2})
    inner = make_trainer(cell).method.inner
    assert isinstance(inner, Pgd)
    x = torch.full((50, 1, 4, 4), 0.5)
    moves = (inner.start_points(x, torch.Generator().manual_seed(0)) - x).abs()
    torch.testing.assert_close(moves, torch.full_like(x, 0.1))


@pytest.mark.parametrize("method", ["clp", "las-at"])
def test_methods_without_this_radius_refuse_it(method: str) -> None:
    with pytest.raises(ValueError, match=f"train_epsilon 0.1 is impossible with method {method}, which has no such"):
        Cell.from_flat({"method": method, "train_epsilon": 0.1})
