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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape as _escape

from core.config import OPTION_FIELDS, STREAMS, ProtocolOptions, RunOptions, Sweep, build_sweep, explain, load_preset
from core.config.flags import FlagField, grid_flags, parse, single_flags

PRESETS = Path(__file__).parent / "presets"
DONE, BAD_INPUT, INCOMPLETE, INTERRUPTED = 0, 2, 3, 130


def main(args: list[str]) -> int:
    """Parse, run, print. Exit code: 0 done, 2 bad input, 3 trials without a record, 130 interrupted."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        sweep, run, dry_run = read_options(args)
        if dry_run:
            from core.sweep.estimate import print_estimate

            print_estimate(sweep, run, console)
            return DONE
        return run_and_print(sweep, run, console)
    except ValueError as error:
        Console(stderr=True).print(f"[red]error:[/red] {_escape(str(error))}", highlight=False, soft_wrap=True)
        return BAD_INPUT


def read_options(args: list[str]) -> tuple[Sweep, RunOptions, bool]:
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
    flags += grid_flags(OPTION_FIELDS)
    flags += single_flags(ProtocolOptions, preset.protocol)
    flags += single_flags(RunOptions, {})
    given = parse("sweep_trades", flags, f"{__doc__}\nPreset {preset_name}: {preset.description}", args)
    pins = [stream for text in given["pin_seed"] for stream in text.split(",")]
    unknown = sorted(set(pins) - set(STREAMS))
    if unknown:
        raise ValueError(f"--pin-seed {' '.join(unknown)}: allowed are {', '.join(STREAMS)}")
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
        pins=dict.fromkeys(pins, given["pin_value"]),
    )
    try:
        run = RunOptions.model_validate(_given(given, RunOptions.model_fields))
    except ValidationError as error:
        raise ValueError("\n".join(explain(error))) from error
    return sweep, run, given["dry_run"]


def run_and_print(sweep: Sweep, run: RunOptions, console: Console) -> int:
    """Run the sweep and print the table, where everything is, and how to go on."""
    from analysis.rates import cell_rates
    from analysis.report.table import main_table
    from analysis.report.table_text import to_markdown
    from core.sweep import run_sweep

    home = _home()
    storage = run.storage or str(home / "results")
    if "://" not in storage:
        storage = str(Path(storage).resolve())
    mlflow_uri = run.mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"
    console.print(
        f"Sweep [bold]{sweep.name}[/bold]: {len(sweep.entries)} cells, {len(sweep.trials())} trials. "
        f"Records: {_escape(storage)}/{sweep.name}",
        soft_wrap=True,
    )
    result = run_sweep(
        sweep,
        run,
        storage=storage,
        mlflow_uri=mlflow_uri,
        console=console,
        summarise=lambda records: main_table(cell_rates(records)),
        markdown=lambda records: to_markdown(cell_rates(records)),
    )
    if result.records:
        console.print(main_table(cell_rates(result.records)))
    console.print(f"MLflow store: {_escape(mlflow_uri)}", soft_wrap=True)
    console.print(f"Open it with: mlflow ui --backend-store-uri {_escape(mlflow_uri)}", soft_wrap=True)
    if result.untracked:
        console.print(f"{result.untracked} tracking entries wait for the MLflow server; run the same command again.")
    if result.interrupted or result.unfinished:
        console.print(
            f"{len(result.records)} trials are saved, {len(result.unfinished)} are not finished; "
            f"to continue, run the same command again (--name {sweep.name})."
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


def _flag(kind: Any, text: str) -> Any:
    return Annotated[kind, tyro.conf.arg(help=text)]


def _given(flags: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: flags[name] for name in names if flags[name] is not None}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
