"""Flags made from option models."""

from __future__ import annotations

from typing import Any

import pytest

from core.config import OPTION_FIELDS, ProtocolOptions, RunOptions
from core.config.flags import allowed_values, grid_flags, parse, single_flags


def flags(*args: str) -> dict[str, Any]:
    fields = [
        *grid_flags(OPTION_FIELDS),
        *single_flags(ProtocolOptions, {"stop": False}),
        *single_flags(RunOptions, {}),
    ]
    return parse("test", fields, "A test.", args)


def test_options_are_axes_and_the_protocol_is_not() -> None:
    given = flags("--beta", "1", "3", "8/255", "--milestones", "100", "150", "--fosc-threshold", "0.5", "--stop")
    assert given["beta"] == ("1", "3", "8/255")
    assert given["milestones"] == ("100", "150")
    assert given["lr"] is None
    assert (given["fosc_threshold"], given["stop"], given["eval_steps"]) == ("0.5", True, "10")
    assert ProtocolOptions.model_validate({k: given[k] for k in ProtocolOptions.model_fields}).fosc_threshold == 0.5


def test_defaults_are_the_models_or_the_presets() -> None:
    given = flags()
    assert all(given[name] is None for name in OPTION_FIELDS)
    assert given["stop"] is False
    protocol = ProtocolOptions.model_validate({k: given[k] for k in ProtocolOptions.model_fields})
    assert protocol == ProtocolOptions(stop=False)
    assert RunOptions.model_validate({k: given[k] for k in RunOptions.model_fields}) == RunOptions()


@pytest.mark.parametrize("args", [["--bata", "1"], ["--fosc-threshold"], ["unasked"], ["--stop", "maybe"]])
def test_a_typo_ends_the_program_with_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        flags(*args)
    assert end.value.code == 2
    assert args[-1] in capsys.readouterr().err


def test_help_shows_every_option_with_its_description(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as end:
        flags("--help")
    assert end.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    for name in [*OPTION_FIELDS, *ProtocolOptions.model_fields, *RunOptions.model_fields]:
        assert f"--{name.replace('_', '-')}" in out, name


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("beta", "0 <= x <= 1000"),
        ("epsilon", "0 < x <= 1"),
        ("momentum", "0 <= x < 1"),
        ("inner", "kl | ce"),
        ("detach_target", "true | false"),
        ("epochs", "1 <= x <= 100000"),
    ],
)
def test_allowed_values_in_words(option: str, words: str) -> None:
    assert allowed_values(OPTION_FIELDS[option]) == words
