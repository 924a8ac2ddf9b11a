from __future__ import annotations

import pytest
from pydantic import ValidationError

from core.config import Cell, ProtocolOptions
from core.evaluation.attack_plan import attack_plan
from core.evaluation.blocks import block_seed, split_blocks
from core.evaluation.options import EvaluationOptions


def plan(classes: int = 10, protocol: dict[str, object] | None = None, **options: object):
    cell = Cell.from_flat({"classes": classes, "epsilon": 0.1})
    return {
        spec.name: spec
        for spec in attack_plan(EvaluationOptions.model_validate(options), cell, ProtocolOptions(**(protocol or {})))
    }


def test_the_budgets_are_those_of_the_library() -> None:
    from pyautoattack import AutoAttack

    model = lambda x: x  # noqa: E731
    for mode in ("standard", "plus"):
        theirs = AutoAttack(model, version=mode, eps=0.1)
        ours = [spec for spec in plan(mode=mode).values() if spec.library == "pyautoattack"]
        assert [spec.method for spec in ours] == theirs.attacks_to_run
        for spec in ours:
            match spec.method:
                case "apgd-ce" | "apgd-dlr":
                    assert (spec.restarts, spec.steps) == (theirs.apgd.n_restarts, theirs.apgd.n_iter)
                case "apgd-t":
                    assert (spec.targets, spec.steps) == (theirs.apgd_targeted.n_target_classes, 100)
                case "fab" | "fab-t":
                    assert spec.steps == theirs.fab.n_iter
                    assert spec.restarts == (1 if spec.method == "fab-t" else theirs.fab.n_restarts)
                case "square":
                    assert spec.queries == theirs.square.n_queries
    custom = AutoAttack(model, version="custom", attacks=["apgd-ce"], eps=0.1)
    assert plan()["fab"].restarts == custom.fab.n_restarts
    assert plan()["apgd-ce"].restarts == custom.apgd.n_restarts


@pytest.mark.parametrize("classes, targets", [(4, 3), (9, 8), (10, 9), (100, 9)])
def test_targets_are_at_most_the_wrong_classes(classes: int, targets: int) -> None:
    specs = plan(classes, mode="standard")
    assert (specs["standard/apgd-t"].targets, specs["standard/fab-t"].targets) == (targets, targets)


@pytest.mark.parametrize("mode, classes", [("individual", 2), ("standard", 3), ("plus", 3)])
def test_too_few_classes_for_the_dlr_loss(mode: str, classes: int) -> None:
    with pytest.raises(ValueError, match=f"--mode {mode} is impossible with {classes} classes.* needs {classes + 1}"):
        plan(classes, mode=mode)
    assert plan(classes + 1, mode=mode)


def test_pgd10_follows_the_protocol() -> None:
    pgd = plan(protocol={"eval_steps": 7, "eval_step_fraction": 0.5})["pgd-10"]
    assert (pgd.steps, pgd.step_fraction, pgd.epsilon) == (7, 0.5, 0.1)


def test_further_attacks_say_what_they_are() -> None:
    specs = plan(mode="none", attacks=("pgd-50x10", "cw", "deepfool", "mi-fgsm"))
    assert list(specs) == ["clean", "pgd-10", "pgd-50x10", "cw", "deepfool", "mi-fgsm"]
    assert (specs["pgd-50x10"].steps, specs["pgd-50x10"].restarts) == (50, 10)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"mode": "standard", "queries": 10}, "--queries 10 is impossible with --mode standard"),
        ({"mode": "plus", "restarts": 1}, "--restarts 1 is impossible with --mode plus"),
        ({"attacks": ("transfer-cw",)}, "--attacks transfer-cw needs --source"),
        ({"attacks": ("cw",), "source": "x.pt"}, "--source x.pt needs an attack to transfer"),
        ({"which": ()}, "--which needs at least one"),
        ({"attacks": ("square",)}, "--attacks square: already measured"),
        ({"attacks": ("clean",)}, "--attacks clean: already measured"),
        ({"attacks": ("apgd",)}, "--attacks apgd: attack 'apgd' is unknown; allowed: fgsm"),
    ],
)
def test_impossible_options(options: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, ValidationError), match=message):
        plan(**options)


def test_a_key_tells_everything_apart_that_changes_a_result() -> None:
    keys = [
        spec.key
        for options in ({}, {"restarts": 1}, {"steps": 9}, {"mode": "standard"}, {"mode": "plus"})
        for spec in plan(**options).values()
        if spec.method in ("apgd-ce", "fab")
    ]
    assert len(set(keys)) == len(keys)
    assert plan()["square"].key == plan(restarts=1)["square"].key


@pytest.mark.parametrize("images, size", [(1, 1), (10, 3), (12, 4), (5, 100)])
def test_blocks_cover_the_images_once(images: int, size: int) -> None:
    blocks = split_blocks(images, size)
    assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(images))
    assert [block.number for block in blocks] == list(range(len(blocks)))
    assert all(block.stop - block.start == size for block in blocks[:-1])


def test_blocks_have_different_seeds() -> None:
    seeds = {block_seed(seed, number) for seed in range(30) for number in range(100)}
    assert len(seeds) == 3000
    assert all(0 <= seed < 2**32 for seed in seeds)
