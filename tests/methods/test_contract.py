"""One table of all training methods, and what the engine and every measurement rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.config import METHODS, Cell, Passes
from core.data.image_set import Dataset
from core.data.load import load_dataset
from core.engine.batches import iterate_epoch
from core.engine.ranks import Ranks
from core.engine.resume import ResumeFiles
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.engine.trial_state import TrialState, unpack
from core.models import build_model
from core.storage import Store
from tests import tiny
from tests.engine.conftest import Float64

ROWS: dict[str, dict[str, Any]] = {
    "trades": {},
    "trades, two clean forwards": {"clean_forwards": 2, "adversarial_first": True},
    "pgd-at": {"method": "pgd-at"},
    "pgd-at from corners": {"method": "pgd-at", "attack_start": "rademacher"},
    "fgsm-at": {"method": "fgsm-at"},
    "rs-fgsm": {"method": "rs-fgsm"},
    "rs-fgsm, beyond the threat model": {"method": "rs-fgsm", "train_epsilon": 0.2},
    "free, beyond the threat model": {"method": "free", "replays": 2, "train_epsilon": 0.2},
    "mixed-at": {"method": "mixed-at"},
    "mart": {"method": "mart"},
    "gairat": {"method": "gairat"},
    "free": {"method": "free", "replays": 3},
    "grad-align": {"method": "grad-align"},
    "clp": {"method": "clp", "input_noise": 0.1},
    "alp": {"method": "alp"},
    "iseat": {"method": "iseat"},
    "iseat, top, kl": {"method": "iseat", "smooth_weights": "top", "smooth_distance": "kl", "clean_at": "perturbed"},
    "iseat, at the original weights": {"method": "iseat", "adv_at": "original", "smooth_weights": "uniform"},
    "fat": {"method": "fat", "omega": 0.05},
    "fat-trades": {"method": "fat-trades"},
    "gat": {"method": "gat"},
    "ssat": {"method": "ssat"},
    "ssat, in eval mode": {"method": "ssat", "attack_bn": "eval", "checkpoints": 4},
    "seat": {"method": "seat"},
    "seat, as its code, flooded": {"method": "seat", "linearity_form": "official", "flood": 1.6},
    "seat, cross-entropy in its attack": {"method": "seat", "attack_objective": "ce"},
    "sub-at": {"method": "sub-at", "sampling_share": 0.34, "subspace_lr": 0.05},
    "sub-at, two sampled epochs": {"method": "sub-at", "sampling_share": 0.67, "subspace_dimensions": 3},
    "trades, over the epochs": {"beta": "0..6@3", "attack_step_size": "0..0.05@3"},
    "gat, over the epochs": {"method": "gat", "guidance": "10then40@34%"},
    "fat, over the epochs": {"method": "fat", "tau": "0then1@2", "omega": "0..0.05@3"},
    "seat, smoothed": {"method": "seat", "flood": 1.6, "label_smoothing": "0..0.3@3"},
    "trades, one-cycle": {"schedule": "one-cycle", "momentum": 0.95, "peak_momentum": 0.85},
    "free, triangular": {"method": "free", "replays": 3, "schedule": "triangular", "lr_peak": 0.4},
    "sub-at, cosine": {"method": "sub-at", "sampling_share": 0.67, "subspace_lr": 0.05, "schedule": "cosine"},
    "las-at": {"method": "las-at", "policy_model": "small-cnn", "policy_interval": 1, "policy_steps_max": 4}
    | {"policy_lr": 0.1},
}
"""Name to options beside those of `tests.tiny`; a row per method, and per option that takes another path through it."""
COMPOSED: dict[str, dict[str, Any]] = {
    "alone": {"awp_radius": 0},
    "awp and ema": {"awp_radius": 0.01, "weight_averaging": "ema", "averaging_decay": 0.7},
    "rwp and swa": {"awp_radius": 0, "rwp_radius": 0.01, "rwp_steps": 2, "rwp_threshold": 1.6}
    | {"flood_loss": 1.62}
    | {"weight_averaging": "swa", "averaging_start": 2},
}
"""What the engine combines with every method."""
COMPOSITIONS = ["alone", *(pytest.param(name, marks=pytest.mark.slow) for name in COMPOSED if name != "alone")]
"""The names in `COMPOSED`. The quick tests take each method alone."""
EPOCHS = 3
NOT_IN_THE_BALL = {"clp"}
"""Rows whose method trains on other images than those of an attack."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(cell_of("trades").data, tmp_path_factory.mktemp("data"))


def cell_of(row: str, **options: Any) -> Cell:
    return Cell.from_flat({**tiny_options(ROWS[row]), **ROWS[row], **options})


def tiny_options(row: dict[str, Any]) -> dict[str, Any]:
    """The tiny cell without what the row's method does not let anyone change."""
    fixed = METHODS[row.get("method", "trades")].options.fixed
    return {name: value for name, value in tiny.CELL.items() if name not in fixed}


def make_trainer(cell: Cell, *, float64: bool = False, wrap: Callable[[nn.Module], nn.Module] | None = None) -> Trainer:
    streams = Streams.spawn(0, {})
    model = build_model(cell.model, cell.data.shape, streams.integer("init"))
    model = Float64(model) if float64 else model
    return Trainer(cell, wrap(model) if wrap else model, streams, Ranks())


def train(trainer: Trainer, dataset: Dataset, *epochs: int, **how: Any) -> None:
    for epoch in epochs:
        trainer.run_epoch(dataset.train, epoch, **how)


def tensors(state: Any) -> list[Tensor]:
    """All tensors of a nested state, copied."""
    if isinstance(state, Tensor):
        return [state.detach().clone()]
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return [tensor for value in values for tensor in tensors(value)]


def bits(trainer: Trainer) -> list[Tensor]:
    states = {name: part.state_dict() for name, part in trainer.parts.items()}
    return tensors([states, trainer.method.artifacts()])


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_every_method_has_a_row() -> None:
    assert {cell_of(row).method.method for row in ROWS} == set(METHODS)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("composed", COMPOSITIONS)
def test_an_epoch_is_finite_and_moves_the_weights(row: str, composed: str, dataset: Dataset) -> None:
    trainer = make_trainer(cell_of(row, **COMPOSED[composed]))
    before = tensors(dict(trainer.model.named_parameters()))
    found, _ = trainer.run_epoch(dataset.train, 1)
    after = tensors(dict(trainer.model.named_parameters()))
    assert all(value is None or np.isfinite(value) for value in found.values())
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("composed", COMPOSITIONS)
def test_a_trial_goes_on_to_the_same_bits_after_any_epoch(
    row: str, composed: str, dataset: Dataset, tmp_path: Path
) -> None:
    cell = cell_of(row, **COMPOSED[composed])
    whole = make_trainer(cell)
    files = ResumeFiles(Store(str(tmp_path)), {})
    checkpoints = []
    for epoch in range(1, EPOCHS + 1):
        train(whole, dataset, epoch)
        files.write(files.pack(TrialState(epoch=epoch), whole.parts, whole.method.artifacts()))
        checkpoints.append(ResumeFiles(files.store, {}).read(whole.ranks))
    for epoch, checkpoint in enumerate(checkpoints[:-1], start=1):
        assert checkpoint is not None
        resumed = make_trainer(cell)
        unpack(checkpoint.checkpoint, resumed.parts)
        resumed.method.load_artifacts(checkpoint.artifacts)
        train(resumed, dataset, *range(epoch + 1, EPOCHS + 1))
        assert same(bits(resumed), bits(whole)), epoch
        assert same(tensors(resumed.measured.state_dict()), tensors(whole.measured.state_dict())), epoch


@pytest.mark.parametrize("row", ROWS)
def test_attack_objective_and_ascent_are_pure(row: str, dataset: Dataset) -> None:
    """The same numbers twice, and nothing changed but BatchNorm statistics, which a probe restores."""
    trainer = make_trainer(cell_of(row))
    train(trainer, dataset, 1)
    method = trainer.method
    trainer.begin_epoch(2, len(dataset.train))
    draws = iterate_epoch(dataset.train, trainer.cell, method.draw, trainer.streams, trainer.ranks, 2, 0)
    batch = next(iter(draws))
    buffers = [buffer.clone() for buffer in trainer.model.buffers()]
    before = bits(trainer)
    seen = []
    for _ in range(2):
        found = method.attack(trainer, batch)
        objective = method.objective(trainer, batch, found)
        ascent, losses = method.ascent(trainer, batch, found), method.losses(trainer, batch, found)
        total = torch.stack(list(objective.parts.values())).sum()
        torch.testing.assert_close(objective.total, total)
        seen.append(tensors([found, objective.total, objective.parts, objective.adv_logits, ascent, losses]))
        for buffer, saved in zip(trainer.model.buffers(), buffers, strict=True):
            buffer.data.copy_(saved)
    assert same(*seen)
    assert same(bits(trainer), before)
    assert all(len(values) == len(batch.y) for values in found.values())
    assert (found["x"] >= 0).all()
    assert (found["x"] <= 1).all()
    distance = (found["x"] - batch.x).abs().max()
    attack = trainer.cell.attack
    assert distance <= attack.training_radius + 1e-6 or row in NOT_IN_THE_BALL
    assert distance > attack.epsilon or attack.train_epsilon is None


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_a_probe_changes_no_bits(row: str, dataset: Dataset) -> None:
    probed, plain = make_trainer(cell_of(row)), make_trainer(cell_of(row))
    train(probed, dataset, 1, 2, gradient_stride=3)
    train(plain, dataset, 1, 2)
    assert same(bits(probed), bits(plain))


class Counted(torch.autograd.Function):
    passes: ClassVar = {"forwards": 0, "backwards": 0}

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        Counted.passes["forwards"] += 1
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        Counted.passes["backwards"] += 1
        return gradient


class Counting(nn.Module):
    """The network, whose forwards and whose backwards from the logits are counted."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return Counted.apply(self.network(x))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("composed", COMPOSITIONS)
def test_passes_are_those_declared(row: str, composed: str, dataset: Dataset) -> None:
    cell = cell_of(row, batch_size=61, fast=False, **COMPOSED[composed])
    trainer = make_trainer(cell, wrap=Counting)
    Counted.passes.update(forwards=0, backwards=0)
    trainer.run_epoch(dataset.train, 1)
    declared: Passes = cell.method.step_passes(cell.attack, cell.awp)
    backwards = declared.image_backwards + declared.weight_backwards
    # BatchNorm's statistics of an averaged network take one forward of every batch.
    statistics = cell.averaging.weight_averaging != "none" and cell.averaging.averaging_start <= 1
    assert Counted.passes == {"forwards": declared.forwards + statistics, "backwards": backwards}


def test_a_cell_has_one_id_in_every_process() -> None:
    cells = [cell_of(row) for row in ROWS]
    code = "import json, sys; from core.config import Cell; print([Cell.from_flat(f).id for f in json.load(sys.stdin)])"
    flat = json.dumps([cell.flat() for cell in cells])
    out = subprocess.run([sys.executable, "-c", code], input=flat, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == str([cell.id for cell in cells])


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any, Any]]:
    """By name: what one worker, the first and the second of two workers made of two epochs in float64."""
    from tests.engine.test_two_workers import run_ranks

    jobs = []
    for row in ROWS:
        for composed in COMPOSED.values():
            # 13 images in batches of 12: slices of 6, and of 0 and 1 at the end
            options = {"norm": "none", "lr": 0.02, "train_images": 33, "batch_size": 12, **composed}
            cell = cell_of(row, **options).flat()
            jobs.append({"cell": cell, "noisy_batches": 0, "gradient_stride": 2})
    folder: Path = tmp_path_factory.mktemp("ranks")
    (alone,), (first, second) = run_ranks(1, jobs, folder / "one"), run_ranks(2, jobs, folder / "two")
    names = [f"{row}, {composed}" for row in ROWS for composed in COMPOSED]
    return dict(zip(names, zip(alone, first, second, strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("composed", COMPOSED)
def test_two_ranks_train_what_one_does(row: str, composed: str, ranks: dict[str, tuple[Any, Any, Any]]) -> None:
    alone, first, second = ranks[f"{row}, {composed}"]
    for weights in ("weights", "measured"):
        for name, values in alone[weights].items():
            assert first[weights][name] == second[weights][name]
            np.testing.assert_allclose(first[weights][name], values, rtol=0, atol=1e-8, err_msg=name)
    for ours, theirs in zip(first["rows"] + first["gradients"], alone["rows"] + alone["gradients"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
