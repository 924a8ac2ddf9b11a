"""Label smoothing: which terms of which method it smooths, by its closed form in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from core.config import METHODS, Cell, MethodOptions
from core.config.methods.registry import lacks
from core.methods import build_method
from tests.methods.lookup import Lookup, PlainRun, logits, whole_batch

pytestmark = pytest.mark.numeric

SMOOTHING = 0.3
CLEAN = {"trades", "fat-trades", "gat"}
"""Methods whose cross-entropy is that of the clean images; `HALVES` have both, and the others the adversarial one."""
HALVES = {"mixed-at", "alp"}
WHOLE_LOSSES = {"trades", "fat-trades"}
"""Methods whose losses for RWP are their whole losses."""
SMOOTHED = [name for name in METHODS if name != "las-at"]


def cell_of(method: str, smoothing: Any) -> Cell:
    """In epoch 1, in which GAIRAT does not weight images."""
    return Cell.from_flat({"method": method, "label_smoothing": smoothing})


def images(seed: int) -> Tensor:
    """Images of a `Lookup` network: logits of three images and three classes, ``(3, 3, 1, 1)``."""
    return logits(seed)[:, :, None, None]


class Flat(Lookup):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def surplus(z: Tensor, y: Tensor) -> Tensor:
    """By how much full smoothing raises an image's cross-entropy: the targets become uniform, ``(n,)``."""
    log_p = z - z.logsumexp(1, keepdim=True)
    return log_p[torch.arange(len(y)), y] - log_p.mean(1)


@pytest.mark.parametrize("method", SMOOTHED)
def test_it_moves_a_share_of_the_target_to_all_classes_in_the_cross_entropies_alone(method: str) -> None:
    x, x_adv, y = images(1), images(2), torch.tensor([0, 2, 1])
    run: Any = PlainRun(Flat())
    batch = whole_batch(x, y, start=images(3), point=images(4))
    plain, smoothed = (
        build_method(cell_of(method, share)).objective(run, batch, {"x": x_adv}) for share in (0, SMOOTHING)
    )
    clean, adv = surplus(x.flatten(1), y), surplus(x_adv.flatten(1), y)
    expected = clean if method in CLEAN else (clean + adv) / 2 if method in HALVES else adv
    torch.testing.assert_close(smoothed.total - plain.total, SMOOTHING * expected.mean(), rtol=1e-9, atol=1e-12)
    for name, part in plain.parts.items():
        if "ce" not in name:
            torch.testing.assert_close(smoothed.parts[name], part, rtol=0, atol=0)


@pytest.mark.parametrize("method", SMOOTHED)
def test_weight_perturbation_ascends_what_is_minimised(method: str) -> None:
    x, x_adv, y = images(1), images(2), torch.tensor([0, 2, 1])
    run: Any = PlainRun(Flat())
    losses = [
        build_method(cell_of(method, share)).losses(run, whole_batch(x, y), {"x": x_adv}) for share in (0, SMOOTHING)
    ]
    seen = x if method in WHOLE_LOSSES else x_adv
    torch.testing.assert_close(losses[1] - losses[0], SMOOTHING * surplus(seen.flatten(1), y), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", SMOOTHED)
def test_the_attack_keeps_the_labels(method: str) -> None:
    x, y = images(1).sigmoid(), torch.tensor([0, 2, 1])
    run: Any = PlainRun(Flat())
    found = []
    for share in (0, SMOOTHING):
        trained = build_method(cell_of(method, share))
        drawn = trained.draw(x, y, torch.Generator().manual_seed(0))
        found.append(trained.attack(run, whole_batch(x, y, **drawn))["x"])
    assert torch.equal(*found)


def test_it_changes_over_the_epochs_and_is_off_by_default() -> None:
    assert Cell.from_flat({}).training.label_smoothing == 0
    cell = cell_of("trades", "0..0.3@4")
    trained = build_method(cell)
    assert trained.smoothing == 0
    trained.enter(cell.in_epoch(3))
    assert trained.smoothing == pytest.approx(0.2)


def test_a_method_that_does_not_smooth_refuses_it_and_a_grid_drops_it() -> None:
    with pytest.raises(ValueError, match=r"label_smoothing 0.1 is impossible with method las-at, whose loss does not"):
        Cell.from_flat({"method": "las-at", "label_smoothing": 0.1})
    assert [name for name in METHODS if lacks(name, "label_smoothing")] == ["las-at"]
    assert not MethodOptions.smooths_labels
