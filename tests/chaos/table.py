"""Tables of faults and driver ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from rich.table import Table

from tests.chaos.chaos import Blow
from tests.chaos.supervisor import DriverEnd

OUTCOMES = ("went on", "trial started again", "driver started again", "sweep was done")


def fault_table(blows: Sequence[Blow]) -> Table:
    """A table with one row per kind of fault, in order of frequency."""
    table = Table(title=f"{len(blows)} faults, and what was needed until the sweep saved something again")
    table.add_column("fault")
    for name in ("faults", *OUTCOMES, "s until then: median", "max"):
        table.add_column(name, justify="right", overflow="fold")
    for kind, count in Counter(blow.kind for blow in blows).most_common():
        mine = [blow for blow in blows if blow.kind is kind]
        outcomes = Counter(blow.outcome for blow in mine)
        waits = [blow.recovered - blow.began for blow in mine if blow.recovered is not None]
        shown = (f"{median(waits):.1f}", f"{max(waits):.1f}") if waits else ("–", "–")
        table.add_row(kind.name, str(count), *(str(outcomes[name] or "–") for name in OUTCOMES), *shown)
    return table


def driver_table(ends: Sequence[DriverEnd]) -> Table:
    """A table of the drivers' ends."""
    table = Table(title=f"{len(ends)} runs of the sweeps' commands")
    table.add_column("sweep")
    table.add_column("exit code (below 0: killed by that signal)")
    table.add_column("how often", justify="right")
    for (sweep, code), count in sorted(Counter((end.sweep, end.code) for end in ends).items()):
        table.add_row(sweep, str(code), str(count))
    return table
