"""All rows by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.benchmark.analysis_cost import analysis_costs
from core.benchmark.compile_cache import compile_costs
from core.benchmark.data_path import data_path_shares
from core.benchmark.ddp import ddp_speedups
from core.benchmark.precision import attack_precision
from core.benchmark.probes import probe_costs
from core.benchmark.quick_sweep import training_share
from core.benchmark.result import Result, Settings
from core.benchmark.scale import scale_costs
from core.benchmark.square import square_speed
from core.benchmark.start_up import start_up_costs
from core.benchmark.trades_step import resnet_steps, small_cnn_steps
from core.benchmark.verdict_agreement import verdict_agreement

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
