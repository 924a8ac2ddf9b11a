"""Flags made from option models."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from core.command.parser import parse
from core.config import OPTION_FIELDS, ProtocolOptions, RunOptions
from core.config.base import Number, Options, Unset
from core.config.flags import Flag, FlagGroup, allowed_values, cell_flag, model_flags, shown_value

GROUPS = (
    FlagGroup("cell", "options of a cell", tuple(cell_flag(name, info) for name, info in OPTION_FIELDS.items())),
    FlagGroup("protocol", "the protocol", model_flags(ProtocolOptions)),
    FlagGroup("run", "the run", model_flags(RunOptions)),
    FlagGroup("own", "own flags", (Flag("figures", "a folder", "at most one"),)),
)


def flags(*args: str) -> dict[str, Any]:
    return parse(GROUPS, args)


def test_options_are_axes_and_the_protocol_is_not() -> None:
    found = flags("--beta", "1", "3", "8/255", "--milestones", "100", "150", "--fosc-threshold", "0.5", "--no-stop")
    assert found == {
        "beta": ("1", "3", "8/255"),
        "milestones": ("100", "150"),
        "fosc_threshold": "0.5",
        "stop": False,
    }


def test_only_what_is_given_is_found() -> None:
    assert flags() == {}
    assert flags("--stop", "--download") == {"stop": True, "download": True}
    assert flags("--figures") == {"figures": ""}
    assert flags("--figures", "here") == {"figures": "here"}
    assert flags("--help") == flags("-h") == {"help": ""}
    assert flags("--help", "protocol", "--beta", "1") == {"help": "protocol", "beta": ("1",)}


def test_dashes_and_underscores_are_the_same_in_names_and_stay_in_values() -> None:
    assert flags("--batch_size", "16") == flags("--batch-size=16") == {"batch_size": ("16",)}
    assert flags("--no_stop", "--mlflow_uri=sqlite:///a_b.db") == {"stop": False, "mlflow_uri": "sqlite:///a_b.db"}
    assert flags("--storage", "my_results") == {"storage": "my_results"}


@pytest.mark.parametrize("number", ["-1", "-.5", "-1e-9", "-8/255", "-1..0@5"])
def test_a_negative_number_is_a_value(number: str) -> None:
    assert flags("--fosc-threshold", number) == {"fosc_threshold": number}
    assert flags("--beta", "1", number, "--stop") == {"beta": ("1", number), "stop": True}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--bata 1", "--bata: there is no such option; did you mean --beta?"),
        ("--bet 1", "--bet: there is no such option; did you mean --beta?"),
        ("--batch_sizes=1", "--batch-sizes: there is no such option; did you mean --batch-size?"),
        ("--fig 1", "--fig: there is no such option; did you mean --figures?"),
        ("--qqq", "--qqq: there is no such option; --help all lists them"),
        ("-b 1", "-b: there is no such option"),
        ("unasked", "unasked: follows no option"),
        ("--stop maybe", "--stop maybe: takes no value"),
        ("--stop=true", "--stop true: takes no value"),
        ("--stop --no-stop", "--no-stop is given twice"),
        ("--fosc-threshold", "--fosc-threshold: needs a value"),
        ("--fosc-threshold -x", "--fosc-threshold: needs a value"),
        ("-1 --beta 3", "-1: follows no option"),
        ("--fosc-threshold 1 2", "--fosc-threshold 1 2: takes one value"),
        ("--fosc-threshold 1 --fosc-threshold 1", "--fosc-threshold is given twice"),
        ("--figures a b", "--figures a b: takes one value"),
        ("--beta", "--beta: needs at least one value"),
        ("--beta=", "--beta '': is empty"),
        ("--beta 1 None", "--beta None: is no value; leave the option out"),
        ("--storage=None", "--storage None: is no value"),
        ("--beta 1 --beta 3", "--beta is given twice; write all its values after one --beta, as in --beta 1 3"),
        ("--batch-size 1 --batch_size 2", "--batch-size is given twice"),
        ("--help a b", "--help a b: takes one value"),
    ],
)
def test_a_slip_is_one_clear_line(line: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        flags(*line.split())
    assert str(refused.value).startswith(message)


def test_a_required_flag_is_missed_unless_help_is_asked_for() -> None:
    groups = (FlagGroup("own", "own flags", (Flag("sweep", "name of the sweep", required=True),)),)
    assert parse(groups, ["--sweep", "x"]) == {"sweep": "x"}
    assert parse(groups, ["--help"]) == {"help": ""}
    with pytest.raises(ValueError, match="--sweep is missing: name of the sweep"):
        parse(groups, [])


class Some(Options):
    """Options of every kind."""

    switch: bool = Field(True, description="a switch")
    radius: Number = Field(8 / 255, gt=0, le=1, description="a radius")
    limit: Annotated[int | None, Unset("no limit")] = Field(None, ge=1, description="a limit")
    seeds: tuple[Annotated[int, Field(ge=0, lt=9)], ...] = Field((1, 2), description="seeds")
    folder: str | None = Field(None, description="a folder")


def test_a_models_flags_show_its_ranges_and_its_defaults() -> None:
    switch, radius, limit, seeds, folder = model_flags(Some)
    assert switch == Flag("switch", "a switch", "switch", value="default: --switch")
    assert radius == Flag("radius", "a radius", allowed="0 < x <= 1", value="default: 8/255")
    assert limit == Flag("limit", "a limit", allowed="1 <= x", value="default: no limit")
    assert seeds == Flag("seeds", "seeds", "many", "0 <= x < 9", "default: 1 2")
    assert folder == Flag("folder", "a folder")
    assert model_flags(Some, {"limit"}) == (limit,)


@given(st.floats(-1e9, 1e9) | st.sampled_from([n / 255 for n in range(256)]))
def test_a_shown_number_is_a_short_form_of_the_number(value: float) -> None:
    shown = shown_value("x", value)
    whole, _, part = shown.partition("/")
    assert len(shown) <= 20
    assert float(whole) / float(part or 1) == pytest.approx(value, rel=1e-5)
    if value * 255 == round(value * 255):
        assert float(whole) / float(part or 1) == value


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("beta", "0 <= x <= 1000 | over epochs"),
        ("epsilon", "0 < x <= 1"),
        ("momentum", "0 <= x < 1"),
        ("inner", "kl | ce"),
        ("detach_target", "true | false"),
        ("epochs", "1 <= x <= 100000"),
        ("data_seed", "0 <= x < 4294967296"),
        ("milestones", "a number"),
    ],
)
def test_allowed_values_in_words(option: str, words: str) -> None:
    assert allowed_values(OPTION_FIELDS[option]) == words
