"""Trials on a pretend GPU: no tensor is left on the wrong device, and the CPU does not wait within an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from core.attacks import resists
from core.attacks.registry import build_attack
from core.config import Cell, ProtocolOptions, Trial
from core.data.image_set import Dataset, ImageSet
from core.data.load import load_dataset
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.models import build_model
from core.storage import Store
from tests import tiny
from tests.methods.test_contract import ROWS, cell_of
from tests.pretend_gpu import CUDA, PretendGpu, pretend_gpu

VARIANTS: dict[str, dict[str, Any]] = {
    "folded": {},
    "plain": {"fast": False},
    "channels-last": {"channels_last": True, "channels": 3},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "tf32": {"precision": "tf32"},
    "awp": {"awp_radius": 0.01},
    "batch statistics": {"attack_bn": "train"},
    "healed": {"heal": "fosc", "augment": "crop-flip"},
}
SUMS = "trainer.py:_run_epoch"
"""The one wait of an epoch, which reads its sums."""
LAUNCHES = 400
"""Kernel launches that a step of the small network with two attack steps may take, in any variant."""
TORCHS_OWN = {"fp16": {"base.py:update"}, "las-at": {"las_at.py:_update_policy"}}
"""Waits of the pretend GPU only: torch groups the tensors of fused optimisers and of gradient clipping by their real
device, the CPU, and then moves the loss scale or the clipping factor there."""
UNREPEATABLE = {
    *("_adaptive_avg_pool2d_backward", "adaptive_max_pool2d_backward", "grid_sampler_2d_backward", "histc", "put_"),
    *("avg_pool3d_backward", "max_pool3d_with_indices_backward", "fractional_max_pool2d_backward", "max_unpool2d"),
    *("reflection_pad1d_backward", "reflection_pad2d_backward", "median", "kthvalue", "cumsum", "scatter_reduce"),
    *("upsample_bilinear2d_backward", "upsample_bicubic2d_backward", "nll_loss2d_forward", "_embedding_bag_backward"),
}
"""Kernels without a deterministic form on a GPU, by the documentation of torch 2.9 to 2.15."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Cell], Dataset]:
    folder = tmp_path_factory.mktemp("data")
    return lambda cell: load_dataset(cell.data, folder)


def trainer_on(device: torch.device, cell: Cell) -> Trainer:
    streams = Streams.spawn(0, {})
    return Trainer(
        cell, build_model(cell.model, cell.data.shape, streams.integer("init")), streams, Ranks(device=device)
    )


def train(cell: Cell, dataset: Dataset, **how: int) -> tuple[PretendGpu, dict[str, Any], int]:
    """Train one epoch on a pretend GPU; returns it with the epoch's row and the number of its steps."""
    with pretend_gpu() as gpu:
        trainer = trainer_on(CUDA, cell)
        on_gpu = dataset.to(CUDA)
        gpu.launches, gpu.waits = 0, []
        row, _ = trainer.run_epoch(on_gpu.train, 1, **how)
        assert all(parameter.device.type == "cuda" for parameter in trainer.model.parameters())
    return gpu, row, trainer.count_steps(len(dataset.train))


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=() if name == "folded" else pytest.mark.slow) for name in VARIANTS]
)
def test_an_epoch_stays_on_the_gpu_and_waits_once(variant: str, images: Callable[[Cell], Dataset]) -> None:
    """The one wait reads the sums of the epoch."""
    cell = Cell.from_flat({**tiny.CELL, **VARIANTS[variant]})
    gpu, row, steps = train(cell, images(cell), noisy_batches=2 if variant == "healed" else 0)
    assert row["train/loss"] is not None
    assert set(gpu.waits) - TORCHS_OWN.get(variant, set()) == {SUMS}
    assert gpu.waits.count(SUMS) == 1
    assert gpu.launches / steps < LAUNCHES


@pytest.mark.slow
def test_plain_training_has_the_bits_of_the_cpu(images: Callable[[Cell], Dataset]) -> None:
    cell = Cell.from_flat({**tiny.CELL, "fast": False})
    _, row, _ = train(cell, images(cell))
    on_cpu, _ = trainer_on(torch.device("cpu"), cell).run_epoch(images(cell).train, 1)
    assert row["train/loss"] == on_cpu["train/loss"]


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_every_method_waits_once_and_is_repeatable(row: str, images: Callable[[Cell], Dataset]) -> None:
    cell = cell_of(row)
    gpu, found, _ = train(cell, images(cell))
    assert found["train/loss"] is not None
    assert set(gpu.waits) - TORCHS_OWN.get(cell.method.method, set()) == {SUMS}
    assert not gpu.kernels & UNREPEATABLE


@pytest.mark.slow
def test_a_whole_trial_with_alarm_verdict_and_checkpoint(images: Callable[[Cell], Dataset], tmp_path: Any) -> None:
    cell = Cell.from_flat({**tiny.CELL, "epochs": 2})
    alarm = {"fosc_threshold": 1e-9, "fosc_grace": 0, "stop": False, "gradient_stride": 3}
    with pretend_gpu():
        context = TrialContext("test", Store(str(tmp_path)), Ranks(device=CUDA), lambda *_: None, "none", Cadence(0, 0))
        record = run_trial(
            Trial(cell=cell, seed=0), ProtocolOptions(**{**tiny.VERDICT, **alarm}), lambda: images(cell), context
        )
    assert record is not None
    assert record.verdict is not None
    assert {evidence.checkpoint for evidence in record.verdict.evidence} >= {"alarm", "selected", "last"}
    searched = {m.precision for evidence in record.verdict.evidence for m in evidence.measurements}
    assert searched == {"fp32", "bf16 search, fp32"}
    assert record.provenance["hardware"] == "pretend GPU"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fgsm", "pgd-10x2", "square", "mi-fgsm", "deepfool", "cw", "pgd-targeted-random"])
def test_evaluation_attacks_stay_on_the_gpu(name: str, images: Callable[[Cell], Dataset]) -> None:
    cell = Cell.from_flat(tiny.CELL)
    test = images(cell).test
    with pretend_gpu():
        model = build_model(cell.model, cell.data.shape, 0).to(CUDA)
        attack = build_attack(name, 0.05, queries=4)
        for search in (None, torch.bfloat16):
            found = resists(model, attack, test.images.to(CUDA), test.labels.to(CUDA), seed=0, search=search)
            assert found.device.type == "cuda"


def test_faults_that_are_planted_are_found() -> None:
    with pretend_gpu() as gpu:
        there, here = torch.zeros(3, device="cuda"), torch.zeros(3)
        with pytest.raises(RuntimeError, match="same device: add"):
            there + here
        with pytest.raises(RuntimeError, match="device type for generator"):
            torch.rand(3, device="cuda", generator=torch.Generator())
        assert (there * 2).device.type == "cuda"
        assert there.to("cpu").device.type == "cpu"
        assert gpu.waits == ["test"]
        assert (there.sum().item(), len(gpu.waits)) == (0, 3), "tensors are read by the function and by its kernel"
        ImageSet(there, there).take(torch.arange(2))
