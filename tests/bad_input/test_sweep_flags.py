"""Flags of the sweep command. Valid combinations give a dry run, and one wrong value gives a message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.sweep_trades import main
from tests.bad_input.harness import assert_refused, cases, run, snapshot
from tests.bad_input.strategies import OPTIONS, OptionCase, possible_options


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert snapshot(tmp_path) == {}, "a dry run or a refusal wrote something"


def line(given: dict[str, str]) -> list[str]:
    found = ["--dry-run", *(["--preset=fields-quick"] if "preset" not in given else [])]
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        found += [flag, *value.split(" ")] if name == "milestones" else [f"{flag}={value}"]
    return found


@pytest.mark.slow
@cases(60)
@given(possible_options(OPTIONS))
def test_possible_values_are_a_dry_run(given_flags: dict[str, str]) -> None:
    ended = run(main, line(given_flags))
    assert ended.code == 0, ended.error
    assert not ended.error
    assert "nothing is started" in ended.out


@pytest.mark.slow
@cases(150)
@given(st.data(), st.sampled_from(OPTIONS))
def test_one_wrong_value_is_refused_and_its_option_named(data: st.DataObject, option: OptionCase) -> None:
    others = data.draw(possible_options(OPTIONS))
    wrong = data.draw(option.invalid)
    ended = run(main, line({**others, option.name: wrong}))
    assert_refused(ended, option.name)
