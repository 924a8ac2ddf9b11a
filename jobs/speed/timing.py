"""Seconds of several ways of doing one thing, taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from jobs.speed.result import Settings


def take_turns(ways: Mapping[str, Callable[[], object]], settings: Settings, what: str) -> dict[str, list[float]]:
    """Seconds per call of each way, one number per repeat.

    Every repeat runs all ways one after the other, each time starting with another one. A way is called as often as
    fills ``settings.seconds``, and at least once. Before the first repeat each is called once to warm up (twice if that
    is quick, to know its pace).
    """
    calls = {}
    for name, way in ways.items():
        settings.say(f"{what}: warming up {name}")
        pace = _seconds(way, 1, settings)
        if pace < settings.seconds:
            pace = _seconds(way, 1, settings)
        calls[name] = max(1, round(settings.seconds / pace))
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(settings.repeats):
        settings.say(f"{what}: repeat {repeat + 1} of {settings.repeats}")
        first = repeat % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(_seconds(ways[name], calls[name], settings))
    return seconds


def _seconds(way: Callable[[], object], calls: int, settings: Settings) -> float:
    _synchronize(settings)
    started = time.perf_counter()
    for _ in range(calls):
        way()
    _synchronize(settings)
    return (time.perf_counter() - started) / calls


def _synchronize(settings: Settings) -> None:
    """A GPU works on after a call returned: wait for it, or the clock shows only how fast work was handed over."""
    if settings.device.type == "cuda":
        import torch

        torch.cuda.synchronize(settings.device)
