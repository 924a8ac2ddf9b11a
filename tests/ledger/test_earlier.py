"""Cells, seeds and protocol of a stored sweep, selected by the outcomes of its trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.config import EarlierTrials, Sweep, Trial
from core.ledger.earlier import read_earlier
from core.ledger.ledger import Ledger
from core.records import TrialRecord
from core.storage import Store
from tests.stored_sweeps import PROTOCOL

OUTCOMES = {(1, 2): "unstable", (1, 1): "stable", (1, 12): "unstable", (3, 0): "healed", (3, 5): "unstable"}


@pytest.fixture
def storage(tmp_path: Path, make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord]) -> str:
    sweep = make_sweep()
    ledger = Ledger(Store(str(tmp_path)).child("first"), "first")
    ledger.enter(sweep)
    cells = {entry.cell.method.beta: entry.cell for entry in sweep.entries}
    for (beta, seed), outcome in OUTCOMES.items():
        ledger.write(make_record(Trial(cell=cells[beta], seed=seed), outcome))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (("unstable",), {1: (2, 12), 3: (5,)}),
        (("stable",), {1: (1,)}),
        (("unstable", "healed"), {1: (2, 12), 3: (0, 5)}),
    ],
)
def test_seeds_are_those_that_ended_so(storage: str, where: tuple, expected: dict) -> None:
    found = read_earlier(storage, EarlierTrials(sweep="first", where=where))
    assert {there.cell.method.beta: there.seeds for there in found.cells} == expected
    assert found.protocol == PROTOCOL


def test_cells_can_be_chosen_by_their_options(storage: str) -> None:
    found = read_earlier(storage, EarlierTrials(sweep="first", cells={"beta": "3/1", "batch_size": 128}))
    assert [(there.cell.method.beta, there.seeds) for there in found.cells] == [(3, (5,))]


def test_what_cannot_be_taken_is_said(
    storage: str, make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord]
) -> None:
    with pytest.raises(ValueError, match=r"there is no sweep second in .*; known are first"):
        read_earlier(storage, EarlierTrials(sweep="second"))
    with pytest.raises(
        ValueError, match=r"--where censored: no trial of sweep first has such an outcome; .*3 unstable"
    ):
        read_earlier(storage, EarlierTrials(sweep="first", where=("censored",)))
    pinned = Ledger(Store(storage).child("pinned"), "pinned")
    sweep = make_sweep(name="pinned", pin_groups=({"init": 3},))
    pinned.enter(sweep)
    record = make_record(Trial(cell=sweep.entries[0].cell, seed=0, pins={"init": 3}), "unstable")
    pinned.write(record.model_copy(update={"sweep": "pinned"}))
    with pytest.raises(ValueError, match="--seeds-from pinned: its seeds are pinned"):
        read_earlier(storage, EarlierTrials(sweep="pinned"))
