"""All rows by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.speed.result import Result, Settings

ROWS = {
    "start-up": "start_up.start_up_costs",
    "trades-small-cnn": "trades_step.small_cnn_steps",
    "trades-resnet18": "trades_step.resnet_steps",
    "probes": "probes.probe_costs",
    "square": "square.square_speed",
    "precision": "precision.attack_precision",
    "verdict-agreement": "verdict_agreement.verdict_agreement",
    "data-path": "data_path.data_path_shares",
    "ddp": "ddp.ddp_speedups",
    "compile-cache": "compile_cache.compile_costs",
    "quick-sweep": "quick_sweep.training_share",
    "analysis": "analysis_cost.analysis_costs",
    "scale": "scale.scale_costs",
}
"""Module and function of each row, which measures and yields its results. A new row needs a file and a line here.

The module is imported when its row runs, because most need torch, and ``--help`` does not.
"""


def row(name: str) -> Callable[[Settings], Iterator[Result]]:
    """The function that measures the row ``name``."""
    module, _, function = ROWS[name].partition(".")
    found: Any = getattr(import_module(f"jobs.speed.{module}"), function)
    return found
