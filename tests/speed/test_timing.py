from __future__ import annotations

import time
from collections.abc import Callable

from jobs.speed.result import Goal, Result, Settings, ratios
from jobs.speed.timing import take_turns


def test_turns_interleave_and_time_each_call(settings: Callable[..., Settings]) -> None:
    calls: list[str] = []

    def way(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            calls.append(name)
            time.sleep(seconds)

        return run

    few = settings(repeats=4, seconds=1e-6)
    seconds = take_turns({"slow": way("slow", 0.1), "fast": way("fast", 0.001)}, few, "sleep")
    warm_up, turns = calls[:2], calls[2:]
    assert warm_up == ["slow", "fast"]
    assert turns == ["slow", "fast", "fast", "slow", "slow", "fast", "fast", "slow"]
    assert all(len(values) == 4 for values in seconds.values())
    assert min(seconds["slow"]) >= 0.1
    assert all(ratio > 1 for ratio in ratios(seconds, "slow", "fast"))


def test_quick_ways_are_called_until_time_is_filled(settings: Callable[..., Settings]) -> None:
    calls: list[float] = []

    def way() -> None:
        calls.append(time.perf_counter())
        time.sleep(0.02)

    (value,) = take_turns({"way": way}, settings(repeats=1, seconds=0.2), "sleep")["way"]
    assert value >= 0.02
    # two to know the pace; then at most as many as 20 ms fit into 0.2 s, fewer if the machine is busy
    assert 3 <= len(calls) <= 12


def test_result_reports_median_extremes_and_goal() -> None:
    result = Result("row", "a / b", (1.0, 5.0, 2.0), "x", Goal(">=", 2))
    plain = result.plain()
    assert (plain["median"], plain["low"], plain["high"], plain["n"]) == (2.0, 1.0, 5.0, 3)
    assert plain["goal_met"] is True
    assert Result("row", "a / b", (3.0,), "%", Goal("<=", 2)).plain()["goal_met"] is False
