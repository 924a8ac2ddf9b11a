"""The names of cells and trials: which options tell them apart, and how they are written."""

from __future__ import annotations

from itertools import product

import pytest

from core.config import Cell
from core.config.naming import (
    TrialNames,
    consequent_factors,
    coupled_factors,
    distinct_factors,
    format_number,
    format_value,
    naming_options,
    setting_name,
)


def test_a_trial_is_called_by_what_varies_and_its_seed() -> None:
    cells = [Cell.from_flat({"beta": beta, "batch_size": size}).flat() for beta, size in product((1, 6), (16, 128))]
    names = TrialNames(cells)
    assert names(cells[0], 0) == "beta=1 batch_size=16 seed=0"
    assert names(cells[3], 7, {"init": 2}) == "beta=6 batch_size=128 seed=7 init=2"
    assert TrialNames(cells[:1])(cells[0], 3) == "seed=3"


def test_an_option_that_a_cell_lacks_is_not_in_its_name() -> None:
    cells = [{"method": "trades", "beta": 1.5}, {"method": "trades", "beta": 6.0}, {"method": "pgd-at"}]
    assert [TrialNames(cells)(cell, 0) for cell in cells] == [
        "method=trades beta=1.5 seed=0",
        "method=trades beta=6 seed=0",
        "method=pgd-at seed=0",
    ]


def test_a_cell_in_which_nothing_varies_is_called_by_its_method_and_data_set() -> None:
    cell = Cell.from_flat({"dataset": "digits", "method": "pgd-at", "inner": "ce", "attack_start": "uniform"}).flat()
    assert naming_options([cell]) == []
    assert setting_name(cell) == "pgd-at on digits"


def test_a_list_is_one_word() -> None:
    cells = [{"milestones": [75, 90]}, {"milestones": []}]
    assert [TrialNames(cells)(cell, 0) for cell in cells] == ["milestones=75,90 seed=0", "milestones=– seed=0"]


def test_epsilon_stands_for_a_step_size_that_changes_with_it() -> None:
    cells = [{"attack_step_size": e, "epsilon": e} for e in (0.15, 0.3)]
    assert distinct_factors(cells) == ["epsilon"]
    assert coupled_factors(cells) == {"epsilon": ["attack_step_size"]}


def test_what_a_method_implies_is_no_column() -> None:
    """The attacks of the methods follow from their names, except where one method has two."""
    attacks = {"trades": ("kl", "gaussian"), "mart": ("ce", "gaussian"), "pgd-at": ("ce", "uniform")}
    cells = [
        {"method": m, "inner": i, "attack_start": s, "attack_step_size": e / k, "epsilon": e, "attack_steps": k}
        for (m, (i, s)), e, k in product(attacks.items(), (0.1, 0.2), (1, 10))
    ]
    assert naming_options(cells) == ["method", "epsilon", "attack_steps"]
    other = {**cells[0], "inner": "ce"}
    assert naming_options([*cells, other]) == ["method", "inner", "epsilon", "attack_steps"]
    assert consequent_factors(cells) == ["inner", "attack_start", "attack_step_size"]
    assert len({str([cell[name] for name in naming_options([*cells, other])]) for cell in [*cells, other]}) == 13


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8 / 255, "8/255"),
        (8 / 255 / 4, "2/255"),
        (0.5 / 255, "0.001961"),
        (1 / 3, "0.3333"),
        (0.2, "0.2"),
        (0.0, "0"),
        (0.28, "0.28"),
        (0.03137, "0.03137"),
        (0.123456, "0.1235"),
        (255.0, "255"),
    ],
)
def test_a_radius_in_grey_levels_is_written_as_in_papers(value: float, text: str) -> None:
    assert format_number(value) == format_value(value) == text
