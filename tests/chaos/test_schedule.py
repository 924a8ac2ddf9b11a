"""The schedule of faults depends only on its seed, and contains every kind in proportion to its share."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.conftest import COSTLY, FAULTS, SEED, time_limit_s
from tests.chaos.faults import KINDS, cheap_schedule, kinds_named, schedule

ROOT = Path(__file__).parents[2]


def names(count: int, seed: int) -> list[str]:
    return [kind.name for kind, _ in schedule(count, seed)]


def test_the_seed_decides_order_and_random_numbers() -> None:
    assert names(200, 3) == names(200, 3) != names(200, 4)
    assert [rng.random() for _, rng in schedule(9, 3)] == [rng.random() for _, rng in schedule(9, 3)]


@pytest.mark.parametrize("count", (0, 7, 19, 200, 1000))
def test_kinds_come_in_proportion(count: int) -> None:
    found = Counter(names(count, 0))
    assert found.total() == count
    for kind in KINDS:
        assert abs(found[kind.name] - count * kind.share / sum(k.share for k in KINDS)) < 1


@pytest.mark.parametrize(("count", "costly"), [(200, 10), (200, 40), (24, 10), (7, 10), (0, 10)])
def test_a_cheap_schedule_has_as_many_costly_faults_as_asked_for(count: int, costly: int) -> None:
    kinds = [kind for kind, _ in cheap_schedule(count, 0, costly)]
    assert len(kinds) == count
    assert sum(kind.costly for kind in kinds) == min(count, costly)
    assert not any(kind.minutes for kind in kinds)


def test_cis_schedule_has_every_kind_that_takes_no_minutes() -> None:
    found = Counter(kind for kind, _ in cheap_schedule(FAULTS, SEED, COSTLY))
    assert set(found) == {kind for kind in KINDS if not kind.minutes}
    cheap = [kind for kind in found if not kind.costly]
    for kind in cheap:
        assert abs(found[kind] - (FAULTS - COSTLY) * kind.share / sum(k.share for k in cheap)) < 1


def test_kinds_are_chosen_by_words_of_their_names() -> None:
    chosen = kinds_named("driver killed, clock hours")
    assert {kind.name for kind in chosen} == {"driver killed"} | {k.name for k in KINDS if "clock hours" in k.name}
    assert Counter(kind.name for kind, _ in schedule(50, 0, chosen)).keys() == {kind.name for kind in chosen}
    assert kinds_named("") == KINDS
    with pytest.raises(ValueError, match="'meteorite' is in none of: worker killed,"):
        kinds_named("driver killed,meteorite")


def test_every_kind_comes_from_two_faults_per_kind_on() -> None:
    for count in range(2 * len(KINDS), 201):
        found = names(count, 0)
        assert len(found) == count
        assert set(found) == {kind.name for kind in KINDS}


@pytest.mark.parametrize(("count", "taken_s"), [(75, 38 * 60), (1000, 1000 * 38 * 60 / 75)])
def test_the_time_limit_is_twice_what_all_kinds_have_taken(count: int, taken_s: float) -> None:
    assert time_limit_s([kind for kind, _ in schedule(count, 7)]) >= 2 * taken_s


def test_cis_faults_have_the_shortest_limit() -> None:
    assert time_limit_s([kind for kind, _ in cheap_schedule(FAULTS, SEED, COSTLY)]) == 3600


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--faults", "2000"], ["--all-kinds", "--faults", "1000"]])
def test_pytest_applies_the_limit(options: list[str]) -> None:
    """Asked of pytest itself, with a plug-in that prints the limits instead of running the tests."""
    code = (
        "import sys, pytest\n"
        "class Limits:\n"
        "    def pytest_collection_finish(self, session):\n"
        "        print({item.get_closest_marker('timeout').args[0] for item in session.items})\n"
        "sys.exit(pytest.main(['tests/chaos/test_chaos.py', '--collect-only', '-q', '-p', 'no:cacheprovider', "
        f"*{options!r}], plugins=[Limits()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    planned = (
        schedule(1000, SEED) if "--all-kinds" in options else cheap_schedule(2000 if options else 200, SEED, COSTLY)
    )
    assert str({time_limit_s([kind for kind, _ in planned])}) in done.stdout.splitlines()
