"""Which trials count as hanging, and whose process may be ended."""

from __future__ import annotations

import subprocess

import pytest

from core.config import Cell, ProtocolOptions, Seeded, Sweep
from core.sweep import board as board_module
from core.sweep import watchdog as module
from core.sweep.board import Board
from core.sweep.design import fixed_trials
from core.sweep.watchdog import SLOWEST_TIMES, STALL_S, START_S, Watchdog, _kill

SWEEP = Sweep(
    name="s",
    preset="none",
    entries=(Seeded(cell=Cell.from_flat({"epochs": 100}), seeds=2),),
    protocol=ProtocolOptions(),
)
TRIALS = fixed_trials(SWEEP)
QUIET, OTHER = (trial.key for trial in TRIALS)
SILENCE_S = 60.0


class Watched:
    """Two trials of which one reports every second; processes that are ended are noted."""

    def __init__(self) -> None:
        self.now = 500.0
        self.ended: list[tuple[str, int]] = []
        self.board = Board(SWEEP, {}, TRIALS)
        for number, trial in enumerate(TRIALS):
            self.board.start(trial, trial.key, 1)
            self.board.locate(trial.key, f"node{number}", 100 + number)
        self.board.advance(QUIET, [{"epoch": 1}])
        self.epoch = 0
        self.watchdog = Watchdog(self.board, SILENCE_S, lambda node, pid: self.ended.append((node, pid)))

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def live(self, seconds: float) -> list[str]:
        """Time passes, the other trial reports."""
        said = []
        for _ in range(int(seconds)):
            self.now += 1
            self.epoch += 1
            self.board.advance(OTHER, [{"epoch": self.epoch}])
            said += self.watchdog.look()
        return said


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    clock = Watched.__new__(Watched)
    clock.now = 500.0
    monkeypatch.setattr(board_module, "time", clock)
    monkeypatch.setattr(module, "time", clock)
    clock.__init__()  # type: ignore[misc]
    return clock


def test_a_silent_trial_is_ended_once_and_again_if_it_survives(watched: Watched) -> None:
    assert watched.live(SILENCE_S) == []
    (said,) = watched.live(1)
    assert QUIET in said
    assert "silent for 1 min 1 s" in said
    assert watched.ended == [("node0", 100)]
    watched.live(SILENCE_S)
    assert len(watched.ended) == 1
    watched.live(1)
    assert watched.ended == [("node0", 100)] * 2


def test_a_slow_trial_may_be_silent_for_longer(watched: Watched) -> None:
    watched.live(10)
    watched.board.advance(QUIET, [{"epoch": 2}])
    limit = 10 * SLOWEST_TIMES
    assert limit > SILENCE_S
    assert watched.live(limit) == []
    assert len(watched.live(1)) == 1


def test_a_driver_that_was_stopped_itself_blames_nobody(watched: Watched) -> None:
    watched.live(30)
    watched.now += 1000 + STALL_S
    assert watched.watchdog.look() == []
    assert watched.live(SILENCE_S - 31) == []
    assert len(watched.live(5)) == 1


def test_a_trial_whose_process_nobody_knows_is_left_alone(watched: Watched) -> None:
    watched.board.start(TRIALS[0], QUIET, 2)
    assert watched.live(2 * START_S) == []
    assert watched.ended == []


def test_a_start_takes_its_time(watched: Watched) -> None:
    watched.board.start(TRIALS[0], QUIET, 2)
    watched.board.locate(QUIET, "node2", 300)
    assert watched.live(START_S) == []
    assert len(watched.live(1)) == 1
    assert watched.ended == [("node2", 300)]


def test_only_a_process_of_rays_is_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        _kill(other.pid)
        assert other.poll() is None
        other.kill()
    with subprocess.Popen(["bash", "-c", "exec -a ray::Trial sleep 60"]) as worker:
        while worker.poll() is None:
            _kill(worker.pid)
        assert worker.returncode == -9
    _kill(worker.pid)  # gone already
