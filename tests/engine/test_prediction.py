"""What the engine predicts for a method that searches in eval mode while it trains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from core.config import METHODS, Cell
from core.data.image_set import Dataset, to_float
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.models import build_model
from tests import tiny

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("bn", ["eval", "train"])
@pytest.mark.parametrize("fast", [True, False])
def test_predictions_are_those_of_eval_mode_and_leave_the_network_alone(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    bn: str,
    fast: bool,
) -> None:
    cell = make_cell(attack_bn=bn, fast=fast)
    trainer, train = make_trainer(cell, float64=True), load(cell).train
    trainer.run_epoch(train, 1)
    x = to_float(train.images)
    state = [tensor.clone() for tensor in trainer.model.state_dict().values()]
    found = trainer.predict(x)
    assert all(torch.equal(a, b) for a, b in zip(trainer.model.state_dict().values(), state, strict=True))
    assert trainer.model.training
    assert not found.requires_grad
    trainer.model.eval()
    expected = trainer.model(x).detach()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9, check_dtype=False)
    trainer.model.train()
    assert not torch.allclose(expected, trainer.model(x).to(expected), atol=1e-3)


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_guided_training_attacks_and_descends_in_half_precision(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset], name: str
) -> None:
    """The clean forward of its attack is in training's arithmetic, too, and near that of float32."""
    rows = []
    for precision in (name, "fp32"):
        cell = make_cell(method="gat", attack_steps=1, precision=precision, lr=0.02)
        trainer, dataset = make_trainer(cell), load(cell)
        assert trainer.forward(to_float(dataset.train.images[:4])).dtype == (
            {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
        )
        rows.append(trainer.run_epoch(dataset.train, 1)[0]["train/loss"])
    assert rows[0] == pytest.approx(rows[1], rel=0.05)


class Normalised(nn.Module):
    """A user's network, which normalises its images and can't be folded."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x - self.mean)


@pytest.mark.parametrize("method", ["trades", "iseat", "ssat", "las-at"])
def test_a_network_that_cannot_be_folded_trains_as_without_folding(
    make_cell: Callable[..., Cell], load: Callable[[Cell], Dataset], method: str
) -> None:
    states = []
    options = {name: value for name, value in tiny.CELL.items() if name not in METHODS[method].options.fixed}
    policy = {"policy_model": "small-cnn", "policy_steps_max": 4} if method == "las-at" else {}
    for fast in (True, False):
        cell = Cell.from_flat({**options, **policy, "method": method, "fast": fast})
        streams = Streams.spawn(0, {})
        model = Normalised(build_model(cell.model, cell.data.shape, 0))
        trainer, dataset = Trainer(cell, model, streams, Ranks()), load(cell)
        trainer.run_epoch(dataset.train, 1)
        states.append([tensor.clone() for tensor in trainer.model.state_dict().values()])
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
