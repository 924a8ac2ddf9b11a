"""The name of a sweep without ``--name``: what is changed of its preset is part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import jobs
from core.command.request import read_request
from core.config.names import SAFE_NAME

PRESETS = Path(jobs.__file__).parent / "presets"
MANY = "--lr " + " ".join(f"0.{i:03}" for i in range(1, 60))


def sweep_of(line: str) -> tuple[str, str]:
    """Name and description of the sweep of a command line."""
    request = read_request([*line.split(), "--dry-run"], PRESETS, "")
    return request.sweep.name, request.description


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("", "quick"),
        ("--seeds 9 --max-concurrent 1 --price 2", "quick"),
        ("--beta 3", "quick-beta-3"),
        ("--no-stop --beta 1 3", "quick-beta-1-3-no-stop"),
        ("--epsilon 8/255 --epochs 5", "quick-epsilon-8_255-epochs-5"),
        ("--preset table5 --beta 0..6@10", "table5-beta-0..6_10"),
        ("--beta 3 --name quick", "quick"),
        ("--beta 1 6", "quick"),
        ("--epochs 010", "quick-epochs-10"),
        ("--beta 6 1 --attack-step-size 0.28 --epsilon 0.28", "quick-epsilon-0.28"),
        ("--stop --fosc-threshold 1.20 --beta 6", "quick-beta-6"),
        ("--dataset cifar10 --epsilon 8/255 --model resnet18", "quick-dataset-cifar10-model-resnet18-epsilon-8_255"),
    ],
)
def test_the_default_name_says_what_is_changed(line: str, name: str) -> None:
    assert sweep_of(line)[0] == name


def test_an_option_that_repeats_the_presets_own_value_is_no_change_of_the_description() -> None:
    assert sweep_of("--beta 1 6 --lr 0.2")[1].startswith("Preset quick, changed by --lr 0.2. ")


def test_options_in_another_order_continue_the_same_sweep() -> None:
    assert sweep_of("--epochs 7 --beta 3")[0] == sweep_of("--beta 3 --epochs 7")[0]


def test_a_long_name_has_a_hash_of_its_options() -> None:
    long, other = sweep_of(MANY)[0], sweep_of(f"{MANY} 0.9")[0]
    assert long.startswith("quick-")
    assert len({long, other, sweep_of(MANY)[0]}) == 2
    assert SAFE_NAME.fullmatch(long)


@pytest.mark.parametrize("line", ["--beta 3", "--no-stop", "--epsilon 8/255 --fosc-threshold 2"])
def test_a_changed_preset_is_not_described_as_the_unchanged_one(line: str) -> None:
    described = sweep_of(line)[1]
    assert described.startswith(f"Preset quick, changed by {line}. The preset itself: {sweep_of('')[1]}")


@pytest.mark.parametrize(
    "line", ["--dataset fields --epsilon 0.1", "--method pgd-at", "--beta 3 --method trades pgd-at"]
)
def test_a_preset_on_other_data_or_methods_is_not_described_by_its_own_text(line: str) -> None:
    own, described = sweep_of("")[1], sweep_of(line)[1]
    assert described.startswith("Preset quick, changed by ")
    assert own not in described
    assert "digits" not in described
