"""Sentences about wrong values."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from core.config.base import Number, Options
from core.config.problems import explain, first_problem, validated


class Some(Options):
    """Options of every kind."""

    share: Number = Field(0.5, gt=0, le=1)
    steps: int = Field(1, ge=1, lt=1000)
    form: Literal["paper", "official"] = "paper"
    stop: bool = True
    name: str = "x"
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    rates: dict[str, float] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"share": "-1e-9"}, "--share -1e-9: must be greater than 0"),
        ({"share": "2"}, "--share 2: must be at most 1"),
        ({"share": "half"}, "--share half: must be a number"),
        ({"share": "1/x"}, "--share 1/x: '1/x' is not a number or a fraction such as 8/255"),
        ({"share": "nan"}, "--share nan: must be a finite number"),
        ({"steps": "0"}, "--steps 0: must be at least 1"),
        ({"steps": 1000}, "--steps 1000: must be less than 1000"),
        ({"steps": "2.5"}, "--steps 2.5: must be a whole number"),
        ({"steps": 2.5}, "--steps 2.5: must be a whole number"),
        ({"steps": "9" * 5000}, f"--steps {'9' * 100} ... (5000 characters): must be a whole number"),
        ({"form": "other"}, "--form other: must be paper or official"),
        ({"stop": "maybe"}, "--stop maybe: must be true or false"),
        ({"name": 3}, "--name 3: must be a text"),
        ({"seeds": 3}, "--seeds 3: must be a list"),
        ({"seeds": []}, "--seeds []: must be a list of 1 or more"),
        ({"seeds": [1, "a"]}, "--seeds a: must be a whole number"),
        ({"rates": "a"}, "--rates a: must be a mapping of names to values"),
        ({"more": 1}, "--more 1: is unknown"),
    ],
)
def test_a_wrong_value_is_one_sentence(given: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        validated(Some, given)
    assert str(refused.value) == line


def test_all_wrong_values_are_named() -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        validated(Some, {"share": 2, "steps": 0})
    assert str(refused.value).splitlines() == ["--share 2: must be at most 1", "--steps 0: must be at least 1"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"share": 2, "steps": 0}', "share: must be at most 1"),
        ('{"seeds": [1, "a"]}', "seeds.1: must be a whole number"),
        ("[1", "must be JSON"),
        ("[1]", "must be a mapping of names to values"),
    ],
)
def test_the_first_problem_of_a_file_names_its_place(content: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Some.model_validate_json(content)
    assert first_problem(refused.value) == sentence
    assert len(explain(refused.value)) >= 1


def test_a_list_of_one_wrong_entry_has_one_problem() -> None:
    with pytest.raises(ValidationError) as error:
        Some.model_validate({"seeds": ["x"]})
    assert explain(error.value) == ["--seeds x: must be a whole number"]
