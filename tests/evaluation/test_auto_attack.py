"""AutoAttack, compared with direct calls of the authors' library."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pyautoattack import AutoAttack
from pyautoattack.autopgd_base import APGDAttack
from torch import Tensor, nn

from core.config import ProtocolOptions
from core.data.image_set import ImageSet, to_float
from core.evaluation.attack_plan import attack_plan
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.auto_attack import resists_auto_attack
from core.evaluation.block_run import BlockFile, run_block
from core.evaluation.blocks import block_seed, split_blocks
from core.evaluation.options import EvaluationOptions
from core.storage import Store

from .conftest import CELL

QUERIES = 150
EPSILON = CELL.attack.epsilon
Direct = Callable[[int, Tensor, Tensor], dict[str, list[bool]]]


def plan(**options: object) -> tuple[AttackSpec, ...]:
    chosen = EvaluationOptions.model_validate(options)
    return tuple(
        spec.model_copy(update={"queries": QUERIES}) if spec.method == "square" else spec
        for spec in attack_plan(chosen, CELL, ProtocolOptions())
    )


@pytest.mark.slow
def test_individual_attacks_equal_direct_calls_on_a_block(network: nn.Module, images: ImageSet, tmp_path) -> None:
    block = split_blocks(28, 14)[1]
    part = images.take(torch.arange(block.start, block.stop))
    specs = plan(mode="individual", restarts=2)
    found = run_block(network, part, specs, BlockFile(Store(str(tmp_path)), "w" * 64, block, 14, seed=5))
    names = ["apgd-ce", "apgd-dlr", "fab", "square"]
    direct = AutoAttack(network, version="custom", attacks=names, eps=EPSILON, seed=block_seed(5, block.number))
    direct.apgd.n_restarts = direct.fab.n_restarts = 2
    direct.square.n_queries = QUERIES
    x, y = to_float(part.images), part.labels
    adversarial = direct.run_standard_evaluation_individual(x, y, batch_size=len(x))
    for name in names:
        assert found[name] == (adversarial[name][1] == y).tolist(), name
        assert 0 < sum(found[name]) < sum(found["clean"]), f"{name} has to fool some images and to fail on others"


@pytest.mark.slow
def test_standard_cascade_equals_one_direct_call_on_a_block(network: nn.Module, images: ImageSet, tmp_path) -> None:
    block = split_blocks(28, 14)[1]
    part = images.take(torch.arange(block.start, block.stop))
    found = run_block(
        network, part, plan(mode="standard"), BlockFile(Store(str(tmp_path)), "w" * 64, block, 14, seed=5)
    )
    direct = AutoAttack(network, version="standard", eps=EPSILON, seed=block_seed(5, block.number))
    direct.square.n_queries = QUERIES
    x, y = to_float(part.images), part.labels
    _, predicted = direct.run_standard_evaluation(x, y, batch_size=len(x))
    assert found["standard/square"] == (predicted == y).tolist()
    assert 0 < sum(found["standard/square"]) < sum(found["clean"])


def test_fewer_steps_equal_the_librarys_attack_built_with_them(network: nn.Module, images: ImageSet) -> None:
    x, y = to_float(images.images[:100]), images.labels[:100]
    correct = network(x).argmax(1) == y
    found = []
    for steps in (1, 7):
        spec = next(spec for spec in plan(steps=steps, restarts=1) if spec.name == "apgd-dlr")
        direct = APGDAttack(network, n_iter=steps, n_restarts=1, eps=EPSILON, seed=3, loss="dlr")
        expected = correct.clone()
        with torch.random.fork_rng():
            expected[correct] = network(direct.perturb(x[correct], y[correct])).argmax(1) == y[correct]
        found.append(resists_auto_attack(network, spec, x, y, seed=3).tolist())
        assert found[-1] == expected.tolist()
    assert correct.sum() > sum(found[0]) > sum(found[1]) > 0


def test_a_block_has_the_seed_of_its_number(network: nn.Module, images: ImageSet, tmp_path) -> None:
    spec = next(spec for spec in plan() if spec.name == "square").model_copy(update={"queries": 10})
    block = split_blocks(200, 100)[1]
    part = images.take(torch.arange(block.start, block.stop))
    found = run_block(network, part, [spec], BlockFile(Store(str(tmp_path)), "w" * 64, block, 100, seed=5))["square"]
    x, y = to_float(part.images), part.labels
    first, second = (resists_auto_attack(network, spec, x, y, block_seed(5, number)).tolist() for number in (0, 1))
    assert found == second != first


@pytest.mark.parametrize("name", ["apgd-ce", "fab", "square"])
def test_training_is_left_alone(network: nn.Module, images: ImageSet, name: str) -> None:
    x, y = to_float(images.images[:8]), images.labels[:8]
    spec = next(spec for spec in plan(steps=3, restarts=2) if spec.name == name)
    network.train()
    frozen = next(network.parameters()).requires_grad_(False)
    layers = list(network.children())
    layers[1].eval()
    modes = [module.training for module in network.modules()]
    buffers = {key: value.clone() for key, value in network.state_dict().items()}

    def tracer(*_: object) -> None: ...

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    states = random.getstate(), str(np.random.get_state()), torch.get_rng_state()
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        resists_auto_attack(network, spec, x, y, seed=3)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    try:
        assert (random.getstate(), str(np.random.get_state())) == states[:2]
        assert torch.equal(torch.get_rng_state(), states[2])
        assert [module.training for module in network.modules()] == modes
        assert all(torch.equal(value, buffers[key]) for key, value in network.state_dict().items())
        assert [p.requires_grad for p in network.parameters()] == [p is not frozen for p in network.parameters()]
        assert all(p.grad is None for p in network.parameters())
    finally:
        frozen.requires_grad_(True)
        network.eval()


def test_a_result_depends_on_the_seed_alone(network: nn.Module, images: ImageSet) -> None:
    x, y = to_float(images.images[:60]), images.labels[:60]
    spec = next(spec for spec in plan() if spec.name == "square").model_copy(update={"queries": 20})
    found = []
    for outer, seed in ((1, 3), (2, 3), (1, 4)):
        torch.manual_seed(outer)
        network.train(outer == 2)
        found.append(resists_auto_attack(network, spec, x, y, seed).tolist())
    network.eval()
    assert found[0] == found[1] != found[2]


def test_nothing_to_attack(network: nn.Module, images: ImageSet) -> None:
    x, y = to_float(images.images[:6]), images.labels[:6]
    spec = plan()[2]
    assert resists_auto_attack(network, spec, x[:0], y[:0], seed=0).tolist() == []
    wrong = (network(x).argmax(1) + 1) % 10
    assert resists_auto_attack(network, spec, x, wrong, seed=0).tolist() == [False] * 6
