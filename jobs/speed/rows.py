"""All rows by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jobs.speed.result import Result, Settings


class Row(NamedTuple):
    """A row of the benchmark.

    Attributes:
        function: module and function that measures the row and yields its results.
        minutes: about how long it takes with the default options on 2 cores with nothing else running, rounded up.
    """

    function: str
    minutes: int


ROWS = {
    "start-up": Row("start_up.start_up_costs", 1),
    "trades-small-cnn": Row("trades_step.small_cnn_steps", 2),
    "trades-resnet18": Row("trades_step.resnet_steps", 8),
    "probes": Row("probes.probe_costs", 2),
    "square": Row("square.square_speed", 4),
    "precision": Row("precision.attack_precision", 2),
    "verdict-agreement": Row("verdict_agreement.verdict_agreement", 40),
    "data-path": Row("data_path.data_path_shares", 1),
    "ddp": Row("ddp.ddp_speedups", 4),
    "compile-cache": Row("compile_cache.compile_costs", 2),
    "fields-sweep": Row("fields_sweep.training_share", 5),
    "analysis": Row("analysis_cost.analysis_costs", 3),
    "scale": Row("scale.scale_costs", 4),
}
"""The rows by name. A new row needs a file and a line here.

The module is imported when its row runs, because most need torch, and ``--help`` does not.
"""


def expected(names: Sequence[str]) -> str:
    """A sentence about the time that the rows take."""
    each = ", ".join(f"{name} {ROWS[name].minutes}" for name in names)
    return f"about {sum(ROWS[name].minutes for name in names)} min on 2 idle cores ({each})"


def row(name: str) -> Callable[[Settings], Iterator[Result]]:
    """The function that measures the row ``name``."""
    module, _, function = ROWS[name].function.partition(".")
    found: Any = getattr(import_module(f"jobs.speed.{module}"), function)
    return found
