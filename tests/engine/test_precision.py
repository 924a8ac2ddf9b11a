"""Training in each number format, and measurement always in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.config import Cell, ProtocolOptions, Trial
from core.data.image_set import Dataset
from core.engine.attempts import AttemptClock
from core.engine.precision import check_capability
from core.engine.ranks import Ranks
from core.engine.trainer import Trainer
from core.engine.trial import TrialRun
from core.engine.trial_context import TrialContext
from core.storage import Store
from tests import tiny

pytestmark = pytest.mark.numeric

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def train(trainer: Trainer, dataset: Dataset) -> dict[str, float | None]:
    for epoch in range(1, 4):
        row, _ = trainer.run_epoch(dataset.train, epoch)
    return row


def test_an_overflow_in_the_first_step_leaves_clean_momentum(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
) -> None:
    """After the overflow, the second step equals the first step of a new optimiser."""
    cell = make_cell(precision="fp16", norm="none", batch_size=61)
    ours, theirs = make_trainer(cell), make_trainer(cell)
    train = load(cell).train
    ours.precision.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    ours.run_epoch(train, 1)
    for trainer in (ours, theirs):
        trainer.precision.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
        trainer.run_epoch(train, 2)
    assert torch.equal(weights(ours.model), weights(theirs.model))
    momentum = [ours.optimizer.state[parameter]["momentum_buffer"] for parameter in ours.model.parameters()]
    assert max(buffer.abs().max().item() for buffer in momentum) < 10


@pytest.mark.parametrize(
    ("precision", "options"),
    [
        ("bf16", {"method": "grad-align"}),
        ("bf16", {"method": "seat"}),
        ("bf16", {"method": "seat", "linearity_form": "official"}),
        ("fp16", {"method": "seat", "linearity_form": "official"}),
    ],
)
def test_methods_that_contain_a_gradient_learn_in_half_precision(
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    precision: str,
    options: dict[str, str],
) -> None:
    """What is allowed, see `MethodOptions.is_second_order`: in fp16 the loss scale of the others falls to 0."""
    fixed = ("attack_steps", "attack_step_size")
    usual = {name: value for name, value in tiny.CELL.items() if name not in fixed}
    half, full = (Cell.from_flat({**usual, "lr": 0.02, **options, **p}) for p in ({"precision": precision}, {}))
    dataset = load(full)
    trainer = make_trainer(half)
    ours, theirs = train(trainer, dataset), train(make_trainer(full), dataset)
    assert ours["train/loss"] is not None
    assert theirs["train/loss"] is not None
    assert max(ours["train/loss"], theirs["train/loss"]) < 1  # a network that learns nothing has 1.6
    assert trainer.precision.scaler.get_scale() >= 1


@pytest.mark.parametrize("name", HALF)
@pytest.mark.parametrize("radius", [0, 0.01])
def test_half_precision_trains_near_float32(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    name: str,
    radius: float,
) -> None:
    half, full = make_cell(precision=name, lr=0.02, awp_radius=radius), make_cell(lr=0.02, awp_radius=radius)
    dataset = load(full)
    trainer = make_trainer(half)
    ours, theirs = train(trainer, dataset), train(make_trainer(full), dataset)
    assert ours["train/loss"] == pytest.approx(theirs["train/loss"], rel=0.25)
    assert all(parameter.dtype == torch.float32 for parameter in trainer.model.parameters())
    assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())


def test_tf32_is_float32_on_a_cpu(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
) -> None:
    trainers = [make_trainer(make_cell(precision=name)) for name in ("tf32", "fp32")]
    for trainer in trainers:
        trainer.run_epoch(load(trainer.cell).train, 1)
    assert torch.equal(*(weights(trainer.model) for trainer in trainers))


def test_an_older_gpu_refuses_formats_that_it_would_emulate() -> None:
    for name in ("tf32", "bf16"):
        with pytest.raises(ValueError, match=f"--precision {name} is impossible on a Tesla T4; allowed are fp32"):
            check_capability(name, (7, 5), "Tesla T4")
        check_capability(name, (8, 0), "NVIDIA A100")
    for name in ("fp32", "fp16"):
        check_capability(name, (7, 5), "Tesla T4")


@pytest.mark.parametrize(("name", "form"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")])
def test_an_epoch_has_the_trainers_products_and_leaves_the_process_its_own(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    name: str,
    form: str,
) -> None:
    """Another trainer of the same process, built later, changes nothing."""

    def settings() -> tuple[str, str]:
        return torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision

    before = settings()
    trainer, other = (make_trainer(make_cell(precision=kind)) for kind in (name, "tf32" if form == "ieee" else "fp32"))
    seen: set[tuple[str, str]] = set()
    trainer.model[0].register_forward_hook(lambda module, args, out: seen.add(settings()))  # type: ignore[operator, union-attr]
    trainer.run_epoch(load(trainer.cell).train, 1)
    assert seen == {(form, form)}
    assert settings() == before
    other.run_epoch(load(trainer.cell).train, 1)


def test_fp16_skips_an_overflowing_step_and_lowers_its_scale(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
) -> None:
    cell = make_cell(precision="fp16", norm="none", batch_size=61)
    trainer = make_trainer(cell)
    trainer.precision.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    before = weights(trainer.model)
    trainer.run_epoch(load(cell).train, 1)
    assert torch.equal(weights(trainer.model), before)
    assert trainer.precision.scaler.get_scale() == 2.0**59


@pytest.mark.parametrize("name", HALF)
def test_training_is_in_half_precision_and_measurements_are_not(
    make_cell: Callable[..., Cell], load: Callable[[Cell], Dataset], tmp_path: Path, name: str
) -> None:
    # The images are too large for `core.fast.chain`, which calls no layers. Its outer layers stay in float32.
    cell = make_cell(precision=name, epochs=1, image_size=16)
    protocol = ProtocolOptions(verdict_images=20, square_queries=3, pgd50_restarts=1, fosc_threshold=1e-9, fosc_grace=0)
    around = TrialContext("test", Store(str(tmp_path)), Ranks(), lambda epoch, rows: None, "none")
    trial = TrialRun(Trial(cell=cell, seed=0), protocol, load(cell), around, AttemptClock(None, 1, 0))
    seen: set[torch.dtype] = set()
    trial.trainer.model[3].register_forward_hook(lambda module, args, out: seen.add(out.dtype))  # type: ignore[operator, union-attr]
    trial.trainer.run_epoch(trial.dataset.train, 1)
    assert seen == {HALF[name]}
    seen.clear()
    with trial.trainer.precision.autocast():
        trial.measurement.judge(trial.state, trial.detector, lambda: None)
    assert seen == {torch.float32}
    trial._epoch()
    assert seen == {torch.float32, HALF[name]}


def test_channels_last_trains_the_same(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
) -> None:
    cells = [make_cell(channels=3, channels_last=last) for last in (False, True)]
    trainers = [make_trainer(cell, float64=True) for cell in cells]
    for trainer in trainers:
        trainer.run_epoch(load(trainer.cell).train, 1)
    first, second = (weights(trainer.model) for trainer in trainers)
    assert (first - second).norm() < 1e-9 * first.norm()


@pytest.mark.parametrize("fast", [True, False])
def test_channels_last_images_reach_the_network_in_this_order(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    fast: bool,
) -> None:
    """In the attack's steps and in the objective; otherwise each step mixes two orders of memory."""
    trainer = make_trainer(make_cell(channels=3, image_size=16, channels_last=True, fast=fast))
    seen: list[bool] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0].is_contiguous(memory_format=torch.channels_last))

    hooks = nn.modules.module.register_module_forward_pre_hook(
        lambda layer, given: note(layer, given) if isinstance(layer, nn.Conv2d) and layer.in_channels == 3 else None
    )
    try:
        trainer.run_epoch(load(trainer.cell).train, 1)
    finally:
        hooks.remove()
    steps = trainer.count_steps(61)
    assert len(seen) == steps * (1 + trainer.cell.attack.attack_steps + 2), "clean logits, steps, objective"
    assert all(seen)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"awp_radius": 0.01}, {"precision": "bf16"}], ids=str)
def test_a_compiled_network_trains_like_an_eager_one(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    weights: Callable[[nn.Module], Tensor],
    options: dict[str, object],
) -> None:
    # In a cross-entropy attack from a distant start, gradient signs do not depend on the last bit.
    robust = {"inner": "ce", "attack_start": "uniform", "drop_last": True, **options}
    compiled, eager = (make_trainer(make_cell(compile=on, **robust)) for on in (True, False))
    train = load(eager.cell).train
    rows = [trainer.run_epoch(train, 1, gradient_stride=2) for trainer in (compiled, eager)]
    loose = 0.1 if "precision" in options else 0.001
    assert rows[0][0]["train/loss"] == pytest.approx(rows[1][0]["train/loss"], rel=loose)
    for ours, theirs in zip(rows[0][1], rows[1][1], strict=True):
        assert ours["w_norm"] == pytest.approx(theirs["w_norm"], rel=10 * loose)
    first, second = weights(compiled.model), weights(eager.model)
    assert (first - second).norm() < loose * second.norm()
