"""The two sweeps under faults: one with trials of one worker, and one with trials of two workers on two hosts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.command.request import read_request
from core.config import ProtocolOptions, Trial
from core.sweep.trial_plan import fixed_trials

PRESETS = Path(__file__).parents[2] / "jobs" / "presets"
TINY = (
    *("--dataset", "fields", "--epsilon", "0.17"),
    *("--classes", "10", "--train-images", "260", "--validation-images", "60", "--test-images", "60"),
    *("--batch-size", "20", "--verdict-images", "40", "--square-queries", "50", "--pgd50-restarts", "1"),
    *("--checkpoint-s", "0"),
)


@dataclass(frozen=True)
class SweepCommand:
    """The options of a sweep.

    Attributes:
        name: value of ``--name``.
        own: options in addition to `TINY`.
        seeds_per_round: number of seeds that a round adds.
    """

    name: str
    own: tuple[str, ...]
    seeds_per_round: int

    def options(self, seeds: int) -> tuple[str, ...]:
        """The options of the command line with this number of seeds."""
        return (*TINY, "--name", self.name, *self.own, "--seeds", str(seeds))

    def trials(self, seeds: int) -> tuple[list[Trial], ProtocolOptions]:
        """The trials and the protocol of the command."""
        sweep = read_request(self.options(seeds), PRESETS, "").sweep
        return fixed_trials(sweep), sweep.protocol


ALONE = SweepCommand("alone", ("--beta", "1", "6", "--epochs", "40"), seeds_per_round=4)
GROUPS = SweepCommand("groups", ("--beta", "1", "--epochs", "20", "--workers", "2"), seeds_per_round=1)
