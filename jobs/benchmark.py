"""Measure the project's speed claims on this machine, and print one table of ratios with their spread.

    python jobs/benchmark.py                                  # all rows; it says first how long each takes
    python jobs/benchmark.py --only square ddp --repeats 9
    python jobs/benchmark.py --only trades-resnet18 --resnet-batch 128 256     # half an hour on 2 CPUs
    python jobs/benchmark.py --only fields-sweep --sweep-dir results/fields-quick

A goal is a bound on a row's median. No other work should run on the machine during the measurement.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape

from core.command.exit_codes import DONE, run_job
from core.command.help_page import read_flags
from core.command.paths import can_be_file
from core.config import build_sweep, load_preset, validated
from core.config.flags import Flag, FlagGroup, model_flags
from jobs.speed.options import BenchmarkOptions
from jobs.speed.rows import ROWS, expected, row

JOBS = Path(__file__).resolve().parent
GROUPS = (
    FlagGroup(
        "benchmark",
        "the rows to measure, and the output",
        (
            Flag("only", "rows to measure", "many", " | ".join(ROWS), "default: all"),
            Flag(
                "sweep_dir",
                "folder of a finished sweep for row fields-sweep",
                value="default: the preset fields-quick is run",
            ),
            Flag("json", "file for the header and the values of all repeats"),
        ),
    ),
    FlagGroup("sizes", "repeats, durations and sizes of the rows", model_flags(BenchmarkOptions)),
)


class BenchmarkRequest(NamedTuple):
    """What the command line asks for."""

    rows: tuple[str, ...]
    sweep_dir: Path | None
    json: Path | None
    options: BenchmarkOptions


def main(args: Sequence[str]) -> int:
    """Measure and print. Exit code: 0 done, 1 file error, 2 bad input, 130 interrupted."""
    return run_job(lambda: measure(read_request(args)))


def read_request(args: Sequence[str]) -> BenchmarkRequest:
    """Read the request from the command line.

    Raises:
        ValueError: options are wrong; the message has one line for each.
    """
    given = read_flags(GROUPS, args, __doc__ or "")
    options = validated(
        BenchmarkOptions, {name: given[name] for name in BenchmarkOptions.model_fields if name in given}
    )
    rows = given.get("only", tuple(ROWS))
    if unknown := [name for name in rows if name not in ROWS]:
        raise ValueError(f"--only {' '.join(unknown)}: allowed are {', '.join(ROWS)}")
    json = Path(given["json"]) if "json" in given else None
    if json and not can_be_file(json):
        raise ValueError(f"--json {json}: must be a file in an existing folder")
    return BenchmarkRequest(rows, Path(given["sweep_dir"]) if "sweep_dir" in given else None, json, options)


def measure(request: BenchmarkRequest) -> int:
    """Measure the rows, print the table and write the JSON file if one is requested."""
    import torch

    from jobs.speed.report import header, table, write_json
    from jobs.speed.result import Result, Settings

    console = Console(width=None if sys.stdout.isatty() else 140)
    options = request.options
    preset = load_preset("fields-quick", JOBS / "presets")
    started = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:4.0f} s  {escape(line)}[/dim]", highlight=False)

    settings = Settings(
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        repeats=options.repeats,
        seconds=float(options.seconds),
        say=say,
        fields=build_sweep(
            preset, preset_name="fields-quick", name="fields-quick", cell_overrides={}, protocol_overrides={}
        ),
        sweep_command=[sys.executable, str(JOBS / "sweep_trades.py"), "--preset", "fields-quick"],
        sweep_dir=request.sweep_dir,
        sweep_seeds=options.sweep_seeds,
        resnet_batches=options.resnet_batch,
        analyse=analyse,
        tabulate=tabulate,
    )
    head = header(settings.device)
    say(expected(request.rows))
    results: list[Result] = []
    for name in request.rows:
        results += row(name)(settings)
    console.print(table(head, results))
    if request.json:
        write_json(request.json, head, results)
    return DONE


def tabulate(records: Sequence[Any], progress: Any, cells: Mapping[str, Any]) -> Any:
    """The table of cells that the sweep command shows while a sweep runs."""
    from analysis.questions.cell_progress import sweep_cells
    from analysis.report.tables.progress_table import ProgressTable

    return ProgressTable(sweep_cells(records, progress, cells))


def analyse(records: Sequence[Any], path: Path) -> None:
    """Everything that the analysis does with a sweep's records."""
    from analysis.questions.effects import factor_effects
    from analysis.questions.onset import onset_survival
    from analysis.questions.rates import cell_rates
    from analysis.report.context import report_context
    from analysis.report.html_page import write_report

    cell_rates(records)
    onset_survival(records)
    factor_effects(records)
    write_report(report_context("synthetic", records), path, generated_at=datetime.now())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
