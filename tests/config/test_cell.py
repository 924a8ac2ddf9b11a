"""A cell's options, their flat form and the hash that is its identity."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from core.config import METHODS, OPTION_FIELDS, OPTION_OWNER, Cell, ProtocolOptions, RunOptions, Trial, digest
from core.config.cell import PARTS
from core.config.flags import allowed_values

CHANGED = {
    "dataset": "digits", "classes": 51, "channels": 2, "image_size": 9, "train_images": 1201, "test_images": 401,
    "data_seed": 1, "validation_images": 401, "augment": "crop-flip", "model": "resnet18", "norm": "none",
    "method": "pgd-at", "inner": "ce", "epsilon": "9/255", "train_epsilon": "9/255",
    "attack_steps": 9, "attack_step_size": "1/255", "attack_start": "none", "rademacher_share": 1, "attack_bn": "train",
    "awp_radius": 0.005,
    "awp_warmup": 1, "rwp_radius": 0.01, "rwp_steps": 5, "rwp_threshold": 1.5,
    "heal": "fosc", "heal_noise": 0.2, "heal_clamp": False, "heal_batches": 9,
    "weight_averaging": "swa", "averaging_decay": 0.99, "averaging_start": 2, "averaging_interval": 5, "epochs": 51,
    "batch_size": 129, "drop_last": True, "lr": 0.2, "momentum": 0.8, "nesterov": False, "weight_decay": 0,
    "schedule": "step", "milestones": [1], "lr_decay": 0.2, "lr_peak": 0.4, "peak_momentum": 0.8,
    "label_smoothing": 0.1, "flood_loss": 0.3, "precision": "bf16", "channels_last": True, "compile": True,
    "fast": False, "workers": 2, "start_from": "before", "start_checkpoint": "last", "start_sha256": "0" * 64,
    "extra_data": "more.npz", "extra_share": 0.7, "extra_sha256": "1" * 64,
}  # fmt: skip
METHODS_CHANGED: dict[str, dict[str, object]] = {
    "trades": {"beta": 4, "clean_forwards": 2, "detach_target": True, "adversarial_first": True},
    "mixed-at": {"clean_share": 0.2},
    "mart": {"beta": 5},
    "gairat": {"reweighting": "sigmoid", "reweighting_shift": 0, "reweighting_begin": 0.25},
    "free": {"replays": 4},
    "grad-align": {"alignment": 2},
    "clp": {"pairing": 1, "input_noise": 0.2},
    "alp": {"pairing": 1},
    "iseat": {"smooth": 1, "smooth_distance": "kl", "smooth_weights": "top"}
    | {"adv_at": "original", "clean_at": "perturbed"},
    "fat": {"tau": 1, "tau_begin": 0.5, "tau_every": 0.5, "omega": 0.01},
    "fat-trades": {"beta": 3, "omega": 0.01},
    "gat": {"guidance": 5, "guidance_factor": 2, "guidance_begin": 0.5},
    "ssat": {"checkpoints": 4},
    "sub-at": {"sampling_share": 0.5, "snapshots_per_epoch": 3, "subspace_dimensions": 40, "subspace_lr": 0.5},
    "las-at": {
        "policy_model": "small-cnn",
        "policy_lr": 0.1,
        "policy_interval": 1,
        "policy_radius_min": "2/255",
        "policy_radius_max": "9/255",
        "policy_steps_min": 2,
        "policy_steps_max": 9,
        "policy_size_min": "2/255",
        "policy_size_max": "3/255",
        "reward_robust": 1,
        "reward_clean": 1,
        "soft_label": 0.9,
    },
    "seat": {"linearity": 0.6, "linearity_form": "official", "attack_objective": "ce", "flood": 0.3},
}
"""A value other than the default for every option that a method alone has."""
TOGETHER: dict[str, dict[str, object]] = {
    "schedule": {"milestones": [1]},
    "milestones": {"schedule": "step"},
    "lr_peak": {"schedule": "triangular"},
    "peak_momentum": {"schedule": "one-cycle"},
    "rwp_steps": {"rwp_radius": 0.02},
    "rwp_threshold": {"rwp_radius": 0.02},
    "averaging_decay": {"weight_averaging": "ema"},
    "averaging_start": {"weight_averaging": "ema"},
    "averaging_interval": {"weight_averaging": "ema"},
    "start_checkpoint": {"start_from": "before"},
    "start_sha256": {"start_from": "file.pt"},
    "extra_share": {"extra_data": "more.npz"},
    "extra_sha256": {"extra_data": "more.npz"},
}


CASES = [
    *((name, {name: value, **TOGETHER.get(name, {})}) for name, value in CHANGED.items()),
    *(
        (name, {"method": method, name: value})
        for method, changed in METHODS_CHANGED.items()
        for name, value in changed.items()
    ),
]
"""Every option of every part and method at another value than its default."""
METHOD_MODELS = [entry.options for entry in METHODS.values()]
OTHER_PARTS = [model for part, model in PARTS.items() if part != "method"]


@pytest.mark.parametrize("model", [*OTHER_PARTS, *METHOD_MODELS, ProtocolOptions, RunOptions])
def test_every_option_is_described_with_what_it_accepts(model: type[BaseModel]) -> None:
    for name, info in model.model_fields.items():
        assert info.description, name
        assert allowed_values(info) or "str" in str(info.annotation), name


def test_option_names_are_unique_over_all_parts() -> None:
    names = [option for part in OTHER_PARTS for option in part.model_fields]
    names += {option for model in METHOD_MODELS for option in model.model_fields}
    assert sorted(names) == sorted(OPTION_OWNER) == sorted(OPTION_FIELDS)
    assert not OPTION_FIELDS.keys() & (ProtocolOptions.model_fields.keys() | RunOptions.model_fields.keys())


def test_an_option_of_several_methods_means_the_same_in_all_of_them() -> None:
    for model in METHOD_MODELS:
        for name, info in model.model_fields.items():
            if name != "method":
                assert info.description == OPTION_FIELDS[name].description, name
                assert allowed_values(info) == allowed_values(OPTION_FIELDS[name]), name


def test_the_hash_never_changes() -> None:
    """Records of old sweeps are found by it: if this fails, every sweep that was ever started can't be continued."""
    assert Cell.from_flat({}).id == "24668594ba88"
    assert (
        Cell.from_flat({"beta": 6, "epsilon": "8/255", "milestones": [100, 150], "schedule": "step"}).id
        == "a8831fddb4fe"
    )
    assert digest({"b": 1.0, "a": [True, None, "x"]}) == "91670e80c1cc"


def test_any_option_changes_the_hash() -> None:
    assert {name for name, _ in CASES} == OPTION_FIELDS.keys()
    defaults = {Cell.from_flat({"method": method}).id for method in METHODS}
    cells = [Cell.from_flat(options) for name, options in CASES if name not in ("milestones", "method")]
    assert len(defaults | {cell.id for cell in cells}) == len(METHODS) + len(CASES) - 2
    steps = {Cell.from_flat({"schedule": "step", "milestones": m}).id for m in ([1], [2], [1, 2])}
    assert len(steps) == 3


@pytest.mark.parametrize(("name", "options"), CASES)
def test_flat_and_back_is_the_same_cell(name: str, options: dict) -> None:
    cell = Cell.from_flat(options)
    through_json = json.loads(json.dumps(cell.flat()))
    assert Cell.from_flat(through_json) == cell
    assert Cell.from_flat(through_json).id == cell.id
    assert name in cell.flat()
    others = {option for model in METHOD_MODELS for option in model.model_fields} - type(
        cell.method
    ).model_fields.keys()
    assert cell.flat().keys() == OPTION_FIELDS.keys() - others


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"beta": 3}, {"beta": 3.0}),
        ({"beta": "3"}, {"beta": 3.0}),
        ({"epsilon": "8/255"}, {"epsilon": 8 / 255}),
        ({"epsilon": " 8 / 255"}, {}),
        ({"detach_target": "true"}, {"detach_target": True}),
        ({"classes": "50"}, {}),
        ({"dataset": "cifar10", "classes": 10}, {"dataset": "cifar10"}),
        ({"dataset": "digits", "train_images": None}, {"dataset": "digits"}),
        ({"train_epsilon": "8/255"}, {}),
        ({"train_epsilon": "4/255", "epsilon": 4 / 255}, {"epsilon": "4/255"}),
        ({"train_epsilon": None}, {}),
        ({"train_epsilon": 0.2, "attack_step_size": "epsilon/4"}, {"train_epsilon": 0.2, "attack_step_size": 0.05}),
    ],
)
def test_the_same_setting_written_differently_is_the_same_cell(first: dict, second: dict) -> None:
    assert Cell.from_flat(first).id == Cell.from_flat(second).id


@given(numerator=st.integers(1, 10**6), denominator=st.integers(1, 10**6))
def test_fractions_are_rounded_once(numerator: int, denominator: int) -> None:
    expected = numerator / denominator
    if expected <= 1:
        assert Cell.from_flat({"epsilon": f"{numerator}/{denominator}"}).attack.epsilon == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1}, "greater than or equal to 0"),
        ({"beta": "nan"}, "finite number"),
        ({"beta": "1/0"}, "not a number or a fraction"),
        ({"epsilon": "eight/255"}, "not a number or a fraction"),
        ({"attack_steps": 2.5}, "integer"),
        ({"inner": "mse"}, "'kl' or 'ce'"),
        ({"model": "wrn-29-10"}, "wrn-N-K with N = 6n \\+ 4"),
        ({"model": "vgg"}, "small-cnn, resnet18, resnet34, vgg11, preact-resnet18"),
        ({"dataset": "cifar10", "classes": 100}, "classes 100 is impossible with dataset cifar10, which has 10"),
        (
            {"augment": "idbh-weak"},
            "idbh-weak is impossible with 1 channels and image_size 8; it needs 1 or 3 channels",
        ),
        ({"augment": "idbh-svhn", "channels": 2, "image_size": 32}, "idbh-svhn is impossible with 2 channels"),
        ({"dataset": "svhn", "train_images": 10}, "allowed with dataset fields"),
        ({"validation_images": 1200}, "validation_images 1200 must be less than train_images 1200"),
        ({"dataset": "digits", "validation_images": 1437}, "must be less than train_images 1437"),
        ({"milestones": [5]}, "need schedule step"),
        ({"milestones": [5], "schedule": "cosine"}, "need schedule step, not cosine"),
        ({"lr_peak": 0.4}, "lr_peak 0.4 has no effect without schedule triangular or one-cycle"),
        ({"lr_peak": 1, "schedule": "triangular"}, "less than 1"),
        (
            {"peak_momentum": 0.8, "schedule": "triangular"},
            "peak_momentum 0.8 has no effect without schedule one-cycle",
        ),
        ({"schedule": "step"}, "needs milestones"),
        ({"schedule": "step", "milestones": [5, 5]}, "positive and increasing"),
        ({"batch_size": 2, "workers": 4}, "batch_size 2 must be at least workers 4"),
        ({"momentum": 0}, "nesterov needs momentum"),
        (
            {"batch_size": 801, "drop_last": True},
            "batch_size 801 with drop_last leaves no batch of 800 training images",
        ),
        ({"awp_radius": 0.1, "rwp_radius": 0.1}, "rwp_radius 0.1 is impossible with awp_radius 0.1; one must be 0"),
        ({"rwp_steps": 5}, "rwp_steps 5 has no effect without rwp_radius above 0"),
        ({"averaging_decay": 0.9}, "averaging_decay 0.9 has no effect without weight_averaging ema"),
        (
            {"weight_averaging": "swa", "averaging_decay": 0.9},
            "averaging_decay 0.9 has no effect without weight_averaging ema",
        ),
        ({"averaging_start": 2}, "averaging_start 2 has no effect without weight_averaging ema or swa"),
        ({"weight_averaging": "ema", "averaging_start": 51}, "averaging_start 51 is impossible with epochs 50"),
        ({"method": "seat", "precision": "fp16"}, "precision fp16 is impossible with method seat, .* use bf16"),
        ({"method": "grad-align", "precision": "fp16"}, "precision fp16 is impossible with method grad-align"),
        ({"bata": 3}, "unknown options: bata"),
        ({"method": "pgd"}, "must be one of trades, pgd-at"),
        (
            {"method": "pgd-at", "clean_forwards": 1},
            "impossible with method pgd-at; it belongs to trades",
        ),
    ],
)
def test_impossible_options_are_value_errors_that_say_why(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cell.from_flat(options)


def test_cells_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Cell.from_flat({}).method.beta = 5


def test_a_trials_key_is_its_cell_its_seed_and_what_is_pinned() -> None:
    cell = Cell.from_flat({})
    assert Trial(cell=cell, seed=7, audit=True).key == f"{cell.id}-7"
    assert Trial(cell=cell, seed=7, pins={"order": 0, "init": 1}).key == f"{cell.id}-7-init1-order0"
    for seed in (-1, 2**32):
        with pytest.raises(ValidationError):
            Trial(cell=cell, seed=seed)


def test_an_id_is_computed_without_a_warning() -> None:
    """A warning for each option, shown or not, took half of the time in which thousands of values are read."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Cell.from_flat({"beta": 0.123}).id
