"""Print how often intervals contain the truth, and how many trials sequential designs take.

    python jobs/coverage.py                   # some minutes
    python jobs/coverage.py --sweeps 0        # the exact tables only, a minute

The first two tables are exact: sums over all results that a design can have. The third one is a simulation of whole
sweeps, whose records are read as a report reads them.
"""

from __future__ import annotations

import platform
import sys

from pydantic import Field

from core.command.exit_codes import DONE, run_job
from core.command.help_page import read_flags
from core.config import validated
from core.config.base import Options
from core.config.flags import FlagGroup, model_flags


class CoverageOptions(Options):
    """The size of the simulation."""

    sweeps: int = Field(400, ge=0, le=1_000_000, description="simulated sweeps of each design; 0: exact tables only")


GROUPS = (FlagGroup("coverage", "the size of the simulation", model_flags(CoverageOptions)),)


def main(args: list[str]) -> int:
    """Compute and print. Exit code: 0 done, 2 bad input."""
    return run_job(lambda: print_coverage(validated(CoverageOptions, read_flags(GROUPS, args, __doc__ or ""))))


def print_coverage(options: CoverageOptions) -> int:
    """Compute the tables, and print each as soon as it is known."""
    import torch

    from analysis.report.tables.coverage_tables import fixed_table, sequential_table, simulated_table
    from analysis.report.tables.text_table import markdown_table
    from core.engine.provenance import hardware
    from core.source import git_commit
    from jobs.sweep_trades import anytime

    print(f"commit {git_commit()}, {hardware(torch.device('cpu'))}, Python {platform.python_version()}\n")
    for table in (fixed_table, sequential_table):
        print(markdown_table(table()))
    if options.sweeps:
        print(markdown_table(simulated_table(options.sweeps, anytime)))
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
