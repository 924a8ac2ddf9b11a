"""Timing of several implementations of one computation, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from jobs.speed.result import Settings


def take_turns(ways: Mapping[str, Callable[[], object]], settings: Settings, what: str) -> dict[str, list[float]]:
    """Seconds per call of each implementation, one number per repeat.

    Every repeat runs all implementations one after the other, starting with a different one each time. An
    implementation is called as often as fits into ``settings.seconds``, but at least once. Before the first repeat,
    each is called once to warm up; a fast one is called twice, because the second call gives a better estimate of its
    speed.
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
    """Wait for the GPU: calls return before it has finished, and would otherwise be timed too short."""
    if settings.device.type == "cuda":
        import torch

        torch.cuda.synchronize(settings.device)
