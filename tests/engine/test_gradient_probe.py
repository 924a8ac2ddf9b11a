"""The norms and cosine of Appendix G, compared with directly computed gradients in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Cell
from core.data.image_set import Dataset
from core.engine.batches import iterate_epoch
from core.engine.trainer import Trainer

pytestmark = pytest.mark.numeric

Rows = list[dict[str, float | None]]


def direct(trainer: Trainer, dataset: Dataset) -> Rows:
    """Train step by step. Before and after each step, compute the gradients of TRADES' terms with a new attack."""
    model, beta = trainer.model, trainer.cell.method.beta
    parameters = list(model.parameters())
    attack = trainer.method.inner
    batches = list(
        iterate_epoch(dataset.train, trainer.cell, trainer.method.draw, trainer.streams, trainer.ranks, 1, 0)
    )
    rows: Rows = []

    def gradients(batch: Any) -> tuple[Tensor, Tensor]:
        model.train()
        saved = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        x_adv = attack.perturb_from(model, batch.x, batch.y, batch.drawn["start"])
        clean, adv = model(batch.x), model(x_adv)
        ce = F.cross_entropy(clean, batch.y)
        kl = beta * (clean.softmax(1) * (clean.log_softmax(1) - adv.log_softmax(1))).sum(1).mean()
        flat = [
            torch.cat([g.flatten() for g in torch.autograd.grad(part, parameters, retain_graph=True)])
            for part in (ce, kl)
        ]
        model.load_state_dict(saved)
        return flat[0], flat[1]

    trainer.begin_epoch(1, len(dataset.train))
    for step, batch in enumerate(batches):
        ce, kl = gradients(batch)
        trainer.method.step(trainer, batch)
        after = sum(gradients(batch))
        before = ce + kl
        rows.append(
            {
                "step": step,
                "epoch": 1,
                "w_norm": before.norm().item(),
                "ce_norm": ce.norm().item(),
                "kl_norm": kl.norm().item(),
                "cosine": (before @ after / (before.norm() * after.norm())).item(),
            }
        )
    return rows


def test_rows_are_the_direct_computation(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset]
) -> None:
    cell = make_cell()
    dataset = load(cell)
    _, rows = make_trainer(cell, float64=True).run_epoch(dataset.train, 1, gradient_stride=1)
    expected = direct(make_trainer(cell, float64=True), dataset)
    assert len(rows) == len(expected) == 4
    for found, wanted in zip(rows, expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-7)
        assert -1 <= found["cosine"] < 0.999  # type: ignore[operator]


@pytest.mark.parametrize(
    "options",
    [{}, {"method": "pgd-at"}, {"awp_radius": 0.01}, {"attack_bn": "train"}, {"precision": "bf16"}],
)
def test_a_probed_run_trains_like_an_unprobed_one(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
    options: dict[str, Any],
) -> None:
    cell = make_cell(**options)
    train = load(cell).train
    probed, plain = make_trainer(cell), make_trainer(cell)
    for epoch in (1, 2):
        row, rows = probed.run_epoch(train, epoch, gradient_stride=3)
        other, none = plain.run_epoch(train, epoch)
        assert [r["step"] for r in rows] == ([0, 3] if epoch == 1 else [6])
        assert none == []
        assert {k: v for k, v in row.items() if k != "time/train_s"} == {
            k: v for k, v in other.items() if k != "time/train_s"
        }
    assert torch.equal(weights(probed.model), weights(plain.model))


def test_fp16_norms_do_not_underflow(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset]
) -> None:
    half, full = make_cell(precision="fp16", beta=1e-7), make_cell(beta=1e-7)
    train = load(full).train
    rows = [make_trainer(cell).run_epoch(train, 1, gradient_stride=1)[1][0] for cell in (half, full)]
    for name in ("w_norm", "ce_norm", "kl_norm"):
        assert rows[0][name] == pytest.approx(rows[1][name], rel=0.3), name


@pytest.mark.slow
def test_a_compiled_step_of_several_updates_computes_one_more_objective(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And neither the network nor the rows of the eager network's probe are others for it."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    free = {"method": "free", "replays": 3, "attack_steps": 1, "attack_step_size": 0.1, "attack_start": "none"}
    compiled, eager = (make_cell(compile=on, **free) for on in (True, False))
    train = load(eager).train
    probed, plain, uncompiled = (make_trainer(cell) for cell in (compiled, compiled, eager))
    objective, calls = probed.method.objective, []

    def counted(*args: Any) -> Any:
        calls.append(args)
        return objective(*args)

    monkeypatch.setattr(probed.method, "objective", counted)
    _, rows = probed.run_epoch(train, 1, gradient_stride=2)
    plain.run_epoch(train, 1)
    _, expected = uncompiled.run_epoch(train, 1, gradient_stride=2)
    assert len(calls) == 3 * probed.count_steps(len(train)) + 2 * len(rows), "before and after each probed step"
    assert torch.equal(weights(probed.model), weights(plain.model))
    for row, wanted in zip(rows, expected, strict=True):
        assert row == pytest.approx(wanted, rel=1e-3)
