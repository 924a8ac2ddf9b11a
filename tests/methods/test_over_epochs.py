"""A number that changes over the epochs trains what the numbers of the epochs, one after the other, train."""

from __future__ import annotations

from typing import Any

import pytest

from core.config import Cell
from core.data.image_set import Dataset
from core.data.load import load_dataset
from core.engine.trial_state import TrialState, pack, unpack
from tests.methods.test_contract import bits, make_trainer, same, tiny_options, train

GAIRAT = {"method": "gairat", "reweighting_begin": 0, "reweighting_shift": "2..0@3"}
LAS_AT = {"method": "las-at", "policy_model": "small-cnn", "policy_interval": 1, "attack_steps": "1then3@2"}
CHANGING: dict[str, tuple[dict[str, Any], str, tuple[float, ...]]] = {
    "beta": ({"beta": "1..5@3"}, "beta", (1, 3, 5)),
    "beta of mart": ({"method": "mart", "beta": "1then6@3"}, "beta", (1, 1, 6)),
    "step size": ({"method": "pgd-at", "attack_step_size": "0.02..0.06@3"}, "attack_step_size", (0.02, 0.04, 0.06)),
    "free": ({"method": "free", "attack_step_size": "0.02then0.06@2"}, "attack_step_size", (0.02, 0.06, 0.06)),
    "radius": ({"train_epsilon": "0..0.2@3"}, "train_epsilon", (1e-300, 0.1, 0.2)),
    "radius and step size": ({"method": "rs-fgsm", "train_epsilon": "0.1then0.2@3"}, "train_epsilon", (0.1, 0.1, 0.2)),
    "radius of free": ({"method": "free", "train_epsilon": "0.1..0.3@3"}, "train_epsilon", (0.1, 0.2, 0.3)),
    "steps": ({"method": "pgd-at", "attack_steps": "1then2@2then3@3"}, "attack_steps", (1, 2, 3)),
    "steps of gairat": ({"method": "gairat", "attack_steps": "2then4@2"}, "attack_steps", (2, 4, 4)),
    "steps of fat": ({"method": "fat", "attack_steps": "1then2@3"}, "attack_steps", (1, 1, 2)),
    "steps in a policy's reward": (LAS_AT, "attack_steps", (1, 3, 3)),
    "flooding": ({"method": "pgd-at", "flood_loss": "0then1.6@2"}, "flood_loss", (0, 1.6, 1.6)),
    "awp": ({"awp_radius": "0then0.02@2"}, "awp_radius", (0, 0.02, 0.02)),
    "clean share": ({"method": "mixed-at", "clean_share": "1..0@3"}, "clean_share", (1, 0.5, 0)),
    "alignment": ({"method": "grad-align", "alignment": "0..2@3"}, "alignment", (0, 1, 2)),
    "pairing": ({"method": "alp", "pairing": "0..2@3"}, "pairing", (0, 1, 2)),
    "input noise": ({"method": "clp", "input_noise": "0..0.2@3"}, "input_noise", (0, 0.1, 0.2)),
    "smooth": ({"method": "iseat", "smooth": "0..2@3"}, "smooth", (0, 1, 2)),
    "guidance": ({"method": "gat", "guidance": "10then40@34%", "guidance_factor": 1}, "guidance", (10, 10, 40)),
    "linearity": ({"method": "seat", "linearity": "0..2@3"}, "linearity", (0, 1, 2)),
    "flood": ({"method": "seat", "flood": "0then1.6@2"}, "flood", (0, 1.6, 1.6)),
    "shift": (GAIRAT, "reweighting_shift", (2, 1, 0)),
    "tau": ({"method": "fat", "tau": "0then1@2", "tau_begin": 1}, "tau", (0, 1, 1)),
    "omega": ({"method": "fat-trades", "omega": "0..0.1@3"}, "omega", (0, 0.05, 0.1)),
}  # fmt: skip
"""Options with a schedule, the option that changes, and its numbers in three epochs."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(cell_of({}).data, tmp_path_factory.mktemp("data"))


def cell_of(options: dict[str, Any]) -> Cell:
    return Cell.from_flat({**tiny_options(options), **options})


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGING)
def test_training_is_that_of_the_epochs_numbers_one_by_one(name: str, dataset: Dataset) -> None:
    options, option, numbers = CHANGING[name]
    changing = make_trainer(cell_of(options))
    checkpoint = pack(TrialState(), changing.parts, {}, {})
    constant = make_trainer(cell_of({**options, option: numbers[0]}))
    for epoch, number in enumerate(numbers, start=1):
        train(changing, dataset, epoch)
        one_epoch = make_trainer(cell_of({**options, option: number}))
        unpack(checkpoint, one_epoch.parts)
        train(one_epoch, dataset, epoch)
        checkpoint = pack(TrialState(), one_epoch.parts, {}, {})
        train(constant, dataset, epoch)
        assert same(bits(changing), bits(one_epoch)), epoch
    assert not same(bits(changing), bits(constant))


def test_a_curriculum_from_no_attack_step_begins_with_clean_images(dataset: Dataset) -> None:
    options = {"method": "pgd-at", "attack_start": "none"}
    begun = make_trainer(cell_of({**options, "attack_steps": "0then2@2"}))
    clean = make_trainer(cell_of({**options, "train_epsilon": 1e-300}))
    for trainer in (begun, clean):
        train(trainer, dataset, 1)
    assert same(bits(begun), bits(clean))
    for trainer in (begun, clean):
        train(trainer, dataset, 2)
    assert not same(bits(begun), bits(clean))


def test_gairats_begin_is_a_shift_that_makes_all_weights_one_before(dataset: Dataset) -> None:
    begun = make_trainer(cell_of({"method": "gairat", "reweighting_begin": 2 / 3, "reweighting_shift": -1}))
    shifted = make_trainer(cell_of({"method": "gairat", "reweighting_begin": 0, "reweighting_shift": "100then-1@2"}))
    for trainer in (begun, shifted):
        train(trainer, dataset, 1, 2, 3)
    assert same(bits(begun), bits(shifted))
