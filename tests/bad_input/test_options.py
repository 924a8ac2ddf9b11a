"""Thousands of valid and invalid option values, passed directly to the request reader without the flag parser."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import jobs
from core.config import OPTION_FIELDS, ProtocolOptions, RunOptions, Sweep, build_sweep, explain, load_preset
from core.config.methods.registry import lacks
from tests.bad_input.harness import cases, mentions
from tests.bad_input.strategies import (
    CELL_OPTIONS,
    DEPENDENT,
    DEPENDENT_PROTOCOL,
    PROTOCOL_OPTIONS,
    RUN_OPTIONS,
    OptionCase,
    possible_options,
)

QUICK = load_preset("fields-quick", Path(jobs.__file__).parent / "presets")
OPTIONS = (*CELL_OPTIONS, *PROTOCOL_OPTIONS)


def sweep(options: dict[str, str]) -> Sweep:
    """The sweep that `core.command.request.read_request` creates from flags."""
    cell = {name: tuple(value.split(" ")) if name == "milestones" else (value,) for name, value in options.items()}
    return build_sweep(
        QUICK,
        preset_name="quick",
        name="quick",
        cell_overrides={name: cell[name] for name in options if name in OPTION_FIELDS},
        protocol_overrides={name: options[name] for name in options if name in ProtocolOptions.model_fields},
    )


def test_the_table_of_options_is_whole() -> None:
    """Every option must be in the table, because options outside it are not tested."""
    assert {option.name for option in CELL_OPTIONS} | DEPENDENT == set(OPTION_FIELDS)
    switches = {"stop", "both_squares", "smoothness"}
    assert {option.name for option in PROTOCOL_OPTIONS} | DEPENDENT_PROTOCOL | switches == set(
        ProtocolOptions.model_fields
    )


@pytest.mark.slow
@cases(400)
@given(possible_options(OPTIONS))
def test_possible_values_make_a_sweep_that_survives_being_written_down(options: dict[str, str]) -> None:
    made = sweep(options)
    assert Sweep.model_validate_json(made.model_dump_json()) == made
    assert len({entry.cell.id for entry in made.entries}) == len(made.entries)


@pytest.mark.slow
@cases(1500)
@given(st.data(), st.sampled_from(OPTIONS))
def test_a_wrong_value_is_named_with_its_option(data: st.DataObject, option: OptionCase) -> None:
    wrong = data.draw(option.invalid)
    given = data.draw(possible_options(OPTIONS))
    if option.method:
        given = {name: value for name, value in given.items() if not lacks(option.method, name)}
        given["method"] = option.method
    with pytest.raises(ValueError) as refused:
        sweep({**given, option.name: wrong})
    message = str(refused.value)
    assert not isinstance(refused.value, ValidationError), message
    assert mentions(message, option.name), message
    assert "/" in wrong or wrong[:50] in message
    assert len(message) < 2000


RUN = {option.name: option for option in RUN_OPTIONS if option.name in RunOptions.model_fields}


@cases(300)
@given(st.data(), st.sampled_from(sorted(RUN)))
def test_options_of_a_run(data: st.DataObject, name: str) -> None:
    RunOptions.model_validate({name: data.draw(RUN[name].valid)})
    with pytest.raises(ValidationError) as refused:
        RunOptions.model_validate({name: data.draw(RUN[name].invalid)})
    assert any(mentions(line, name) for line in explain(refused.value))
