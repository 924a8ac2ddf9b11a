"""The schedule of faults depends only on its seed, and contains every kind in proportion to its share."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.conftest import COSTLY, FAULTS, SEED
from tests.chaos.faults import KINDS, cheap_schedule, kinds_named, schedule


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
