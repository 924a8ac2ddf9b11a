"""Checkpoints are written beside training, seldom enough, whole, and before the trial ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config import Cell
from core.engine import checkpoint_writer as module
from core.engine.checkpoint_writer import COST_FACTOR, CheckpointWriter
from core.engine.filenames import RESUME
from core.records import TrialRecord
from core.storage import Store, StoreError


class Clock:
    """A clock that only a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_the_next_one_waits_for_the_interval_and_for_50_times_the_cost(clock: Clock) -> None:
    def slow(content: bytes) -> None:
        clock.now += 2

    with CheckpointWriter(slow, interval_s=20) as writer:
        assert not writer.due
        clock.now += 20
        assert writer.due
        writer.save(lambda: b"first")
        writer.wait()
        started = clock.now - 2
        clock.now = started + COST_FACTOR * 2 - 0.1
        assert not writer.due
        clock.now = started + COST_FACTOR * 2
        assert writer.due


def test_training_goes_on_during_a_write_and_the_exit_waits_for_it(clock: Clock) -> None:
    may_write, written = threading.Event(), list[bytes]()

    def write(content: bytes) -> None:
        assert may_write.wait(60)
        written.append(content)

    with CheckpointWriter(write, interval_s=1) as writer:
        writer.save(lambda: b"first")
        clock.now += 1000
        assert not writer.due, "the last one is not stored yet"
        assert written == []
        may_write.set()
    assert written == [b"first"]


def test_interval_0_stores_every_checkpoint_in_order(clock: Clock) -> None:
    written: list[bytes] = []
    with CheckpointWriter(written.append, interval_s=0) as writer:
        for number in range(20):
            assert writer.due
            writer.save(lambda number=number: bytes([number]))
    assert written == [bytes([number]) for number in range(20)]


def test_a_failed_write_ends_the_trial_at_the_next_checkpoint() -> None:
    def refuse(content: bytes) -> None:
        raise StoreError("the disk is full")

    writer = CheckpointWriter(refuse, interval_s=0)
    writer.save(lambda: b"first")
    with pytest.raises(StoreError, match="the disk is full"):
        writer.save(lambda: b"second")


def test_a_slow_store_leaves_no_checkpoint_behind_a_finished_trial(
    make_cell: Callable[..., Cell],
    run: Callable[..., TrialRecord],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last checkpoint is still on its way when the record is written."""
    recorded, write, create = threading.Event(), Store.write, Store.create

    def delayed(store: Store, name: str, content: bytes) -> str:
        if name == RESUME and threading.current_thread() is not threading.main_thread():
            recorded.wait(0.3)
        return write(store, name, content)

    def noticed(store: Store, name: str, content: bytes) -> bool:
        recorded.set() if name == "record.json" else None
        return create(store, name, content)

    monkeypatch.setattr(Store, "write", delayed)
    monkeypatch.setattr(Store, "create", noticed)
    run(make_cell(epochs=1))
    assert recorded.is_set()
    assert not (tmp_path / "trial" / RESUME).exists()
