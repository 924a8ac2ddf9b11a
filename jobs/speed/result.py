"""What a row of the benchmark ends with."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from core.config import Sweep

Unit = Literal["x", "%", "s", "MB", "CPU-s", "files"]


@dataclass(frozen=True)
class Goal:
    """A bound on the median, in the result's unit."""

    sign: Literal[">=", "<="]
    bound: float

    def met_by(self, value: float) -> bool:
        """Does ``value`` keep the bound?"""
        return value >= self.bound if self.sign == ">=" else value <= self.bound


@dataclass(frozen=True)
class Result:
    """One line of the benchmark's table.

    Attributes:
        row: name of the row that measured it.
        compared: what was divided by what, and in which setting.
        values: one per repeat, in ``unit``.
        note: what the reader has to know besides.
    """

    row: str
    compared: str
    values: tuple[float, ...]
    unit: Unit = "x"
    goal: Goal | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """Of the repeats."""
        return statistics.median(self.values)

    def plain(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "row": self.row,
            "compared": self.compared,
            "unit": self.unit,
            "median": self.median,
            "low": min(self.values),
            "high": max(self.values),
            "n": len(self.values),
            "values": list(self.values),
            "goal": None if self.goal is None else f"{self.goal.sign} {self.goal.bound:g}",
            "goal_met": None if self.goal is None else self.goal.met_by(self.median),
            "note": self.note,
        }


@dataclass(frozen=True)
class Settings:
    """What all rows share.

    Attributes:
        device: where networks live.
        repeats: turns of each comparison; rows of minutes take fewer.
        seconds: how long one side runs per turn at least, where it can be repeated that often.
        say: takes lines of progress.
        quick: the quick preset's sweep.
        sweep_command: command line that runs the quick preset.
        sweep_dir: folder of a sweep that was run already; None: run one.
        sweep_seeds: seeds per cell of the sweep that is run.
        analyse: everything the analysis does with records, writing to the path; can be sent to another process.
        tabulate: the table of cells of a sweep that is running; can be sent to another process.
        driver_trials: sizes of the sweeps of empty trials, multiples of 10, rising.
        simulated_trials: sizes of the sweeps in the simulator.
        analysis_trials: sizes of the synthetic sweeps, rising.
        resnet_batches: batch sizes of ResNet-18's step; empty: the largest that this machine can bear.
        verdict_seeds: seeds per cell of the quick preset whose verdicts are compared.
    """

    device: torch.device
    repeats: int
    seconds: float
    say: Callable[[str], None]
    quick: Sweep
    sweep_command: Sequence[str]
    sweep_dir: Path | None
    sweep_seeds: int
    analyse: Callable[[Sequence[Any], Path], None]
    tabulate: Callable[[Sequence[Any], Any, Mapping[str, Any]], Any]
    analysis_trials: Sequence[int] = (1_000, 3_000, 10_000)
    driver_trials: Sequence[int] = (100, 300, 1_000)
    simulated_trials: Sequence[int] = (1_000, 3_000, 10_000)
    resnet_batches: Sequence[int] = ()
    verdict_seeds: int = 10

    def fewer(self, at_most: int = 3) -> Settings:
        """For comparisons whose turns take many seconds."""
        return replace(self, repeats=min(self.repeats, at_most))


def ratios(seconds: Mapping[str, Sequence[float]], over: str, under: str) -> tuple[float, ...]:
    """``seconds[over] / seconds[under]`` of each repeat."""
    return tuple(a / b for a, b in zip(seconds[over], seconds[under], strict=True))
