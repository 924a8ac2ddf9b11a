"""The trials that count as hanging, and the processes that the watchdog may end."""

from __future__ import annotations

import subprocess

import pytest

from core.config import Cell, ProtocolOptions, SeededCell, Sweep
from core.sweep import live_state as live_state_module
from core.sweep import watchdog as module
from core.sweep.live_state import LiveState
from core.sweep.trial_plan import fixed_trials
from core.sweep.watchdog import SILENCE_FACTOR, STALL_S, START_S, Watchdog, _kill

SWEEP = Sweep(
    name="s",
    preset="none",
    entries=(SeededCell(cell=Cell.from_flat({"epochs": 100}), seeds=2),),
    protocol=ProtocolOptions(),
)
TRIALS = fixed_trials(SWEEP)
QUIET, OTHER = (trial.key for trial in TRIALS)
SILENCE_S = 60.0


class Watched:
    """Two trials, one of which reports every second, and a list of ended processes."""

    def __init__(self) -> None:
        self.now = 500.0
        self.ended: list[tuple[str, int]] = []
        self.live = LiveState(SWEEP, {}, TRIALS)
        for number, trial in enumerate(TRIALS):
            self.live.start(trial, trial.key, 1)
            self.live.locate(trial.key, f"node{number}", 100 + number)
        self.live.advance(QUIET, [{"epoch": 1}])
        self.epoch = 0
        self.watchdog = Watchdog(self.live, SILENCE_S, kill=lambda node, pid: self.ended.append((node, pid)))

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def live_for(self, seconds: float) -> list[str]:
        """Let time pass while the other trial reports."""
        said = []
        for _ in range(int(seconds)):
            self.now += 1
            self.epoch += 1
            self.live.advance(OTHER, [{"epoch": self.epoch}])
            said += self.watchdog.look()
        return said


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    clock = Watched.__new__(Watched)
    clock.now = 500.0
    monkeypatch.setattr(live_state_module, "time", clock)
    monkeypatch.setattr(module, "time", clock)
    clock.__init__()  # type: ignore[misc]
    return clock


def test_a_silent_trial_is_ended_once_and_again_if_it_survives(watched: Watched) -> None:
    assert watched.live_for(SILENCE_S) == []
    (said,) = watched.live_for(1)
    assert said.startswith("seed=0 ")
    assert "silent for 1 min 1 s" in said
    assert watched.ended == [("node0", 100)]
    watched.live_for(SILENCE_S)
    assert len(watched.ended) == 1
    watched.live_for(1)
    assert watched.ended == [("node0", 100)] * 2


def test_a_slow_trial_may_be_silent_for_longer(watched: Watched) -> None:
    watched.live_for(10)
    watched.live.advance(QUIET, [{"epoch": 2}])
    limit = 10 * SILENCE_FACTOR
    assert limit > SILENCE_S
    assert watched.live_for(limit) == []
    assert len(watched.live_for(1)) == 1


def test_a_slow_trial_that_goes_on_with_its_verdict_may_be_silent_for_longer(watched: Watched) -> None:
    """The attempt reports no epoch, because all are in the checkpoint."""
    watched.now += 200
    watched.live.advance(QUIET, [{"epoch": 2}])
    watched.live.start(TRIALS[0], QUIET, 2)
    watched.live.locate(QUIET, "node0", 200)
    assert watched.watchdog.limit_s(watched.live.running[QUIET]) == SILENCE_FACTOR * 200


def test_a_trial_that_waits_for_a_place_is_not_ended(watched: Watched) -> None:
    watched.live.end(QUIET)
    assert watched.live_for(SILENCE_S + 5) == []
    assert watched.ended == []


def test_a_driver_that_was_stopped_itself_blames_nobody(watched: Watched) -> None:
    watched.live_for(30)
    watched.now += 1000 + STALL_S
    assert watched.watchdog.look() == []
    assert watched.live_for(SILENCE_S - 31) == []
    assert len(watched.live_for(5)) == 1


def test_a_trial_whose_process_nobody_knows_is_left_alone(watched: Watched) -> None:
    watched.live.start(TRIALS[0], QUIET, 2)
    assert watched.live_for(2 * START_S) == []
    assert watched.ended == []


def test_a_start_takes_its_time(watched: Watched) -> None:
    watched.live.start(TRIALS[0], QUIET, 2)
    watched.live.locate(QUIET, "node2", 300)
    assert watched.live_for(START_S) == []
    assert len(watched.live_for(1)) == 1
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
    _kill(worker.pid)  # The process has already ended.
