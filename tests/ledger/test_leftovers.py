"""The state of trials whose processes were killed after they had stored a result, and before they had deleted it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.config import Sweep, Trial
from core.ledger.ledger import PROGRESS, Ledger
from core.records import TrialRecord
from core.records.progress import RunningTrial
from core.storage import Store, StoreError
from core.verdict import censor
from tests.stored_sweeps import interrupted

STATE = ["artifact-images.pt", "attempts.json", "resume.ckpt"]


class Left:
    """A stored sweep of four trials with the files of a kill: the last driver saw three of them run."""

    def __init__(self, folder: Path, sweep: Sweep, make_record: Callable[..., TrialRecord]) -> None:
        self.ledger = Ledger(Store(str(folder)), "first")
        self.ledger.enter(sweep)
        cell = sweep.entries[0].cell
        names = ("ended", "crashed", "open", "old")
        self.trials = {name: Trial(cell=cell, seed=seed) for seed, name in enumerate(names)}
        for trial in self.trials.values():
            for name in STATE:
                self.ledger.trial_store(trial.key).write(name, b"state")
        ended, crashed, _, old = (make_record(trial, "stable") for trial in self.trials.values())
        for record in (ended, crashed.model_copy(update={"verdict": censor("crashed: now")}), old):
            self.ledger.write(record)
        running = tuple(
            RunningTrial(key=trial.key, cell_id=cell.id, seed=trial.seed, attempt=1, epoch=1, epochs=2, silent_s=1)
            for name, trial in self.trials.items()
            if name != "old"
        )
        self.ledger.write_progress(interrupted(sweep="first", running=running))

    @property
    def names(self) -> dict[str, list[str]]:
        return {name: self.ledger.trial_store(trial.key).names() for name, trial in self.trials.items()}


@pytest.fixture
def left(tmp_path: Path, make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord]) -> Left:
    return Left(tmp_path, make_sweep(), make_record)


def test_the_next_driver_deletes_what_a_trial_with_a_result_left_and_nothing_else(left: Left) -> None:
    """It asks nothing about trials that the last driver did not see run: a sweep may have thousands."""
    left.ledger.delete_leftovers_of_kills(left.ledger.records())
    assert left.names == {
        "ended": ["record.json"],
        "crashed": [*STATE[:2], "crash.json", STATE[2]],
        "open": STATE,
        "old": [*STATE[:2], "record.json", STATE[2]],
    }


@pytest.mark.parametrize("content", [None, b"{}"], ids=["no progress", "a damaged one"])
def test_without_a_progress_everything_stays(left: Left, content: bytes | None) -> None:
    before = left.names
    left.ledger.store.delete(PROGRESS)
    if content:
        left.ledger.store.write(PROGRESS, content)
    left.ledger.delete_leftovers_of_kills(left.ledger.records())
    assert left.names == before


def test_at_the_end_the_state_of_trials_with_several_attempts_is_deleted(left: Left) -> None:
    """Only they can have had a process that lived beside the one that stored the result."""
    attempts = {left.trials[name].key: number for name, number in {"ended": 2, "crashed": 2, "old": 1}.items()}
    records = [
        record.model_copy(update={"attempts": attempts[record.key]}) for record in left.ledger.records().values()
    ]
    left.ledger.delete_leftovers_of_attempts(records)
    assert left.names == {
        "ended": ["record.json"],
        "crashed": [*STATE[:2], "crash.json", STATE[2]],
        "open": STATE,
        "old": [*STATE[:2], "record.json", STATE[2]],
    }


def test_a_driver_that_may_not_delete_it_goes_on(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: Store, name: str) -> None:
        raise StoreError(f"{store.place(name)}: AccessDenied")

    monkeypatch.setattr(Store, "delete", refuse)
    before = left.names
    left.ledger.delete_leftovers_of_kills(left.ledger.records())
    assert left.names == before
