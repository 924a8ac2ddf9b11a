"""The schedule of faults depends only on its seed, and contains every kind in proportion to its share."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.faults import KINDS, kinds_named, schedule


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


@pytest.mark.parametrize("seed", range(5))
def test_cis_schedule_has_the_cheap_new_kinds(seed: int) -> None:
    found = Counter(names(24, seed))
    assert found.total() == 24
    assert {kind.name for kind in KINDS if kind.always} <= set(found)


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
