"""The two sweeps that the faults fall upon: trials of one worker, and trials of groups of two that span two hosts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.command.request import read_request
from core.config import ProtocolOptions, Trial
from core.sweep.trial_plan import fixed_trials

PRESETS = Path(__file__).parents[2] / "jobs" / "presets"
TINY = (
    *("--classes", "10", "--train-images", "260", "--validation-images", "60", "--test-images", "60"),
    *("--batch-size", "20", "--verdict-images", "40", "--square-queries", "50", "--pgd50-restarts", "1"),
    *("--checkpoint-s", "0.2"),
)


@dataclass(frozen=True)
class SweepCommand:
    """Options of a sweep.

    Attributes:
        name: its ``--name``.
        own: what it has beside `TINY`.
        seeds_per_round: by how many seeds it grows.
    """

    name: str
    own: tuple[str, ...]
    seeds_per_round: int

    def options(self, seeds: int) -> tuple[str, ...]:
        """The command line's, with this number of seeds."""
        return (*TINY, "--name", self.name, *self.own, "--seeds", str(seeds))

    def trials(self, seeds: int) -> tuple[list[Trial], ProtocolOptions]:
        """What the command is to train, and by which protocol."""
        sweep = read_request(self.options(seeds), PRESETS, "").sweep
        return fixed_trials(sweep), sweep.protocol


ALONE = SweepCommand("alone", ("--beta", "1", "6", "--epochs", "40"), seeds_per_round=8)
GROUPS = SweepCommand("groups", ("--beta", "1", "--epochs", "20", "--workers", "2"), seeds_per_round=1)
