"""Results of the benchmark's rows, and the settings that all rows share."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

    from core.config import Sweep

Unit = Literal["x", "%", "s", "MB", "CPU-s", "files"]


@dataclass(frozen=True)
class Goal:
    """A bound on the median, in the result's unit."""

    sign: Literal[">=", "<="]
    bound: float

    def met_by(self, value: float) -> bool:
        """True if ``value`` meets the bound."""
        return value >= self.bound if self.sign == ">=" else value <= self.bound


@dataclass(frozen=True)
class Result:
    """One line of the benchmark's table.

    Attributes:
        row: name of the row that measured it.
        compared: numerator and denominator of the ratio, and the setting.
        values: one value per repeat, in ``unit``.
        note: further information for the reader.
    """

    row: str
    compared: str
    values: tuple[float, ...]
    unit: Unit = "x"
    goal: Goal | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """Median of the repeats."""
        return statistics.median(self.values)

    def plain(self) -> dict[str, Any]:
        """The result in JSON types."""
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
    """Settings of all rows.

    Attributes:
        device: device of the networks.
        repeats: number of turns of each comparison; slow rows take fewer.
        seconds: minimum seconds of each side of a comparison in one turn.
        say: prints a line of progress.
        fields: the sweep of the preset fields-quick.
        sweep_command: command line that runs the preset fields-quick.
        sweep_dir: folder of a finished sweep; None: the preset fields-quick is run.
        sweep_seeds: seeds per cell of the preset fields-quick if it is run.
        analyse: analyses records and writes a report to the path; it can be pickled for another process.
        tabulate: makes the table of cells of a running sweep; it can be pickled for another process.
        driver_trials: sizes of the sweeps of empty trials, multiples of 10 in rising order.
        simulated_trials: sizes of the sweeps in the simulator.
        analysis_trials: sizes of the synthetic sweeps, in rising order.
        resnet_batches: batch sizes of ResNet-18's step; empty: the largest one with short enough steps.
        verdict_seeds: seeds per cell of the preset fields-quick whose verdicts are compared.
    """

    device: torch.device
    repeats: int
    seconds: float
    say: Callable[[str], None]
    fields: Sweep
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
        """The settings for comparisons whose turns take many seconds."""
        return replace(self, repeats=min(self.repeats, at_most))


def ratios(seconds: Mapping[str, Sequence[float]], over: str, under: str) -> tuple[float, ...]:
    """``seconds[over] / seconds[under]`` of each repeat."""
    return tuple(a / b for a, b in zip(seconds[over], seconds[under], strict=True))
