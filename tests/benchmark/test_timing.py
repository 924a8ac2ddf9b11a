from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from core.benchmark.cpu_meter import PROC, CpuMeter
from core.benchmark.result import Goal, Result, Settings, ratios
from core.benchmark.timing import take_turns


def test_turns_interleave_and_time_each_call(settings: Callable[..., Settings]) -> None:
    calls: list[str] = []

    def way(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            calls.append(name)
            time.sleep(seconds)

        return run

    few = settings(repeats=4, seconds=0.04)
    seconds = take_turns({"slow": way("slow", 0.04), "fast": way("fast", 0.01)}, few, "sleep")
    turns = [name for name, before in zip(calls, [None, *calls], strict=False) if name != before]
    # warm-ups; then both in every repeat, the first of one being the second of the next
    assert turns == ["slow", "fast"] * 3 + ["slow"]
    assert calls.count("slow") in (5, 6)
    assert calls.count("fast") in range(6, 19)
    assert all(len(values) == 4 for values in seconds.values())
    assert all(2 < ratio < 5 for ratio in ratios(seconds, "slow", "fast"))


def test_result_reports_median_extremes_and_goal() -> None:
    result = Result("row", "a / b", (1.0, 5.0, 2.0), "x", Goal(">=", 2))
    plain = result.plain()
    assert (plain["median"], plain["low"], plain["high"], plain["n"]) == (2.0, 1.0, 5.0, 3)
    assert plain["goal_met"] is True
    assert Result("row", "a / b", (3.0,), "%", Goal("<=", 2)).plain()["goal_met"] is False


@pytest.mark.skipif(not PROC.exists(), reason="no /proc")
def test_cpu_meter_counts_children_and_what_has_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.6: pass"
    middle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    with CpuMeter() as meter:
        before = meter.seconds()
        subprocess.run([sys.executable, "-c", middle], check=True)
        used = meter.seconds() - before
        time.sleep(0.3)
        assert meter.seconds() - before < used + 0.2, "sleeping costs nothing"
    assert 0.4 < used < 1.2
