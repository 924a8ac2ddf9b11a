"""Run a seeded sweep of adversarial training and print the probability of instability per cell.

    python jobs/sweep_trades.py                                  # the quick preset on this machine
    python jobs/sweep_trades.py --preset table2-batch --data-dir /data --gpus-per-worker 1
    ray job submit --working-dir . -- python jobs/sweep_trades.py

Running a sweep of the same --name again continues it: finished trials stay, interrupted ones go on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from core.allocation.goal import AllocationGoal
from core.config import (
    OPTION_FIELDS,
    STREAMS,
    ProtocolOptions,
    RunOptions,
    Stream,
    Sweep,
    build_sweep,
    explain,
    load_preset,
)
from core.config.flags import FlagField, grid_flags, parse, single_flags

if TYPE_CHECKING:
    from analysis.rates import CellRate
    from core.records import TrialRecord

PRESETS = Path(__file__).parent / "presets"
GOALS = ("until_width", "until_decided", "max_trials", "max_device_hours")
DONE, BAD_INPUT, INCOMPLETE, INTERRUPTED = 0, 2, 3, 130


class Request(NamedTuple):
    """What the command line asks for."""

    sweep: Sweep
    run: RunOptions
    goal: AllocationGoal | None
    """None: the number of seeds is fixed."""
    dry_run: bool


def main(args: list[str]) -> int:
    """Parse, run, print. Exit code: 0 done, 2 bad input, 3 trials without a record, 130 interrupted."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        request = read_request(args)
        if request.dry_run:
            from core.sweep.estimate import print_estimate

            print_estimate(request.sweep, request.run, console)
            return DONE
        return run_and_print(request, console)
    except ValueError as error:
        Console(stderr=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return BAD_INPUT


def read_request(args: list[str]) -> Request:
    """The sweep and how to run it, from a preset and flags.

    Raises:
        ValueError: one line per wrong option.
    """
    preset_name = _given_preset(args)
    preset = load_preset(preset_name, PRESETS)
    presets = " | ".join(sorted(path.stem for path in PRESETS.glob("*.yaml")))
    flags: list[FlagField] = [
        ("preset", _flag(str, f"sweep to run: {presets}, or a path to a .yaml file"), preset_name),
        ("name", _flag(str | None, "name of the sweep; the same name continues it (default: the preset's)"), None),
        ("seeds", _flag(int | None, "seeds per cell (default: the preset's)"), None),
        ("first_seed", _flag(int, "first seed; the k-th seed of every cell is first_seed + k"), 0),
        ("pin_seed", _flag(tuple[str, ...], f"streams that all trials share: {', '.join(STREAMS)}"), ()),
        ("pin_value", _flag(int, "the seed of pinned streams"), 0),
        ("dry_run", _flag(bool, "list cells, trials and cost; start nothing"), False),
    ]
    flags += single_flags(AllocationGoal, {})
    flags += grid_flags(OPTION_FIELDS)
    flags += single_flags(ProtocolOptions, preset.protocol)
    flags += single_flags(RunOptions, {})
    given = parse("sweep_trades", flags, f"{__doc__}\nPreset {preset_name}: {preset.description}", args)
    if given["seeds"] is not None and given["seeds"] < 1:
        raise ValueError(f"--seeds {given['seeds']}: must be at least 1")
    sweep = build_sweep(
        preset,
        preset_name=preset_name,
        name=given["name"] or Path(preset_name).stem,
        cell_overrides={name: given[name] for name in OPTION_FIELDS if given[name] is not None},
        protocol_overrides=_given(given, ProtocolOptions.model_fields),
        seeds=given["seeds"],
        first_seed=given["first_seed"],
        pins=dict.fromkeys(_streams(given["pin_seed"]), given["pin_value"]),
    )
    adaptive = any(given[name] is not None for name in GOALS)
    try:
        run = RunOptions.model_validate(_given(given, RunOptions.model_fields))
        goal = AllocationGoal.model_validate(_given(given, AllocationGoal.model_fields)) if adaptive else None
    except ValidationError as error:
        raise ValueError("\n".join(explain(error))) from error
    if goal and given["seeds"] is not None:
        flags_given = ", ".join(f"--{name.replace('_', '-')}" for name in GOALS if given[name] is not None)
        raise ValueError(
            f"--seeds {given['seeds']} is impossible with {flags_given}: limit an adaptive sweep by --max-trials"
        )
    return Request(sweep, run, goal, given["dry_run"])


def run_and_print(request: Request, console: Console) -> int:
    """Run the sweep and print the table, where everything is, and how to go on."""
    from analysis.design import countable
    from analysis.intervals import confidence_sequence
    from analysis.rates import cell_rates
    from analysis.report import main_table, render
    from core.sweep import Adaptive, Output, run_sweep

    sweep, run, goal, _ = request

    def rates(records: Sequence[TrialRecord]) -> list[CellRate]:
        counted, interval = countable(records, sweep.first_seed)
        return cell_rates(counted, interval=interval)

    def anytime(unstable: int, finished: int) -> tuple[float, float]:
        interval = confidence_sequence(unstable, finished)
        return interval.low, interval.high

    home = _home()
    storage = run.storage or str(home / "results")
    if "://" not in storage:
        storage = str(Path(storage).resolve())
    mlflow_uri = run.mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"
    console.print(
        f"Sweep [bold]{sweep.name}[/bold]: {len(sweep.entries)} cells. Records: {escape(storage)}/{sweep.name}",
        soft_wrap=True,
        highlight=False,
    )
    result = run_sweep(
        sweep,
        run,
        Output(
            storage=storage,
            mlflow_uri=mlflow_uri,
            console=console,
            summarise=lambda records: main_table(rates(records)),
            markdown=lambda records: render(rates(records), "markdown"),
        ),
        Adaptive(goal, anytime) if goal else None,
    )
    if result.records:
        console.print(main_table(rates(result.records)))
    console.print(f"MLflow store: {escape(mlflow_uri)}", soft_wrap=True, highlight=False)
    console.print(f"Open it with: mlflow ui --backend-store-uri {escape(mlflow_uri)}", soft_wrap=True, highlight=False)
    if result.untracked:
        console.print(f"{result.untracked} tracking entries wait for the MLflow server; run the same command again.")
    if result.interrupted or result.unfinished:
        console.print(
            f"{len(result.records)} trials are saved, {len(result.unfinished)} are not finished; "
            f"to continue, run the same command again (--name {sweep.name}).",
            soft_wrap=True,
            highlight=False,
        )
        return INTERRUPTED if result.interrupted else INCOMPLETE
    return DONE


def _home() -> Path:
    """Where results go by default: here; in a Ray job, whose folder is a throw-away copy, the user's home."""
    return Path.home() / "unmask" if os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") else Path.cwd()


def _given_preset(args: list[str]) -> str:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", default="quick")
    return parser.parse_known_args(args)[0].preset


def _streams(given: Sequence[str]) -> list[Stream]:
    named = [name for text in given for name in text.split(",")]
    unknown = sorted(set(named) - set(STREAMS))
    if unknown:
        raise ValueError(f"--pin-seed {' '.join(unknown)}: allowed are {', '.join(STREAMS)}")
    return [stream for stream in STREAMS if stream in named]


def _flag(kind: Any, text: str) -> Any:
    return Annotated[kind, tyro.conf.arg(help=text)]


def _given(flags: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: flags[name] for name in names if flags[name] is not None}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
