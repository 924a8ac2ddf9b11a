"""All rows by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jobs.speed.analysis_cost import analysis_costs
from jobs.speed.compile_cache import compile_costs
from jobs.speed.data_path import data_path_shares
from jobs.speed.ddp import ddp_speedups
from jobs.speed.precision import attack_precision
from jobs.speed.probes import probe_costs
from jobs.speed.quick_sweep import training_share
from jobs.speed.result import Result, Settings
from jobs.speed.scale import scale_costs
from jobs.speed.square import square_speed
from jobs.speed.start_up import start_up_costs
from jobs.speed.trades_step import resnet_steps, small_cnn_steps
from jobs.speed.verdict_agreement import verdict_agreement

ROWS: dict[str, Callable[[Settings], Iterator[Result]]] = {
    "trades-small-cnn": small_cnn_steps,
    "trades-resnet18": resnet_steps,
    "probes": probe_costs,
    "square": square_speed,
    "precision": attack_precision,
    "verdict-agreement": verdict_agreement,
    "data-path": data_path_shares,
    "ddp": ddp_speedups,
    "compile-cache": compile_costs,
    "start-up": start_up_costs,
    "quick-sweep": training_share,
    "analysis": analysis_costs,
    "scale": scale_costs,
}
"""A row measures something and yields its results. Adding one is one file and one line here."""
