"""Measure the project's speed claims on this machine, as ratios with their spread, in one table.

    python jobs/benchmark.py                                  # all rows
    python jobs/benchmark.py --only square ddp --repeats 9
    python jobs/benchmark.py --only trades-resnet18 --resnet-batch 128 256     # half an hour on 2 CPUs
    python jobs/benchmark.py --only quick-sweep --sweep-dir results/quick

Goals are bounds on a row's median. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape

from core.command.exit_codes import print_error
from core.command.paths import can_be_file
from core.config import build_sweep, load_preset
from jobs.speed.report import header, table, write_json
from jobs.speed.result import Result, Settings
from jobs.speed.rows import ROWS
from jobs.speed.subjects import RESNET_IMAGES

JOBS = Path(__file__).resolve().parent
DONE, BAD_INPUT = 0, 2


def main(args: Sequence[str]) -> int:
    """Measure and print. Exit code: 0 done, 2 bad input."""
    given = read_options(args)
    console = Console(width=None if sys.stdout.isatty() else 140)
    preset = load_preset("quick", JOBS / "presets")
    started = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:4.0f} s  {escape(line)}[/dim]", highlight=False)

    settings = Settings(
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        repeats=given.repeats,
        seconds=given.seconds,
        say=say,
        quick=build_sweep(preset, preset_name="quick", name="quick", cell_overrides={}, protocol_overrides={}),
        sweep_command=[sys.executable, str(JOBS / "sweep_trades.py")],
        sweep_dir=given.sweep_dir,
        sweep_seeds=given.sweep_seeds,
        resnet_batches=given.resnet_batch,
        analyse=analyse,
        tabulate=tabulate,
    )
    head = header(settings.device)
    results: list[Result] = []
    try:
        for name in given.only:
            results += ROWS[name](settings)
    except ValueError as error:
        print_error(error)
        return BAD_INPUT
    console.print(table(head, results))
    if given.json:
        write_json(given.json, head, results)
    return DONE


def read_options(args: Sequence[str]) -> argparse.Namespace:
    """Options of the command line; bad ones end the program with code 2."""
    description, _, examples = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="benchmark.py",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help=", ".join(ROWS)
    )
    parser.add_argument("--repeats", type=_at_least_one, default=5, help="turns; slow rows take fewer (default: 5)")
    parser.add_argument(
        "--seconds", type=_positive, default=1.0, help="least seconds of one side in one turn (default: 1)"
    )
    parser.add_argument(
        "--resnet-batch",
        type=_at_least_one,
        nargs="+",
        default=[],
        help=f"batch sizes of trades-resnet18, at most {RESNET_IMAGES} (default: one up to 128 that is borne here)",
    )
    parser.add_argument("--sweep-dir", type=Path, help="read this finished sweep instead of running the quick one")
    parser.add_argument(
        "--sweep-seeds",
        type=_at_least_one,
        default=1,
        help="seeds per cell of the quick sweep that is run (default: 1)",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write header and all repeats to this file, too")
    given = parser.parse_args(args)
    if max(given.resnet_batch, default=0) > RESNET_IMAGES:
        parser.error(f"--resnet-batch {max(given.resnet_batch)}: allowed are at most {RESNET_IMAGES}, its images")
    if given.json and not can_be_file(given.json):
        parser.error(f"--json {given.json}: must be a file in a folder that exists")
    return given


def tabulate(records: Sequence[Any], progress: Any, cells: Mapping[str, Any]) -> Any:
    """The cells of a sweep that is running, as the sweep command shows them."""
    from analysis.questions.cell_progress import sweep_cells
    from analysis.report.tables.progress_table import ProgressTable

    return ProgressTable(sweep_cells(records, progress, cells))


def analyse(records: Sequence[Any], path: Path) -> None:
    """All that the analysis does with a sweep's records."""
    from analysis.questions.effects import factor_effects
    from analysis.questions.onset import onset_survival
    from analysis.questions.rates import cell_rates
    from analysis.report import write_report

    cell_rates(records)
    onset_survival(records)
    factor_effects(records)
    write_report(records, path, sweep="synthetic", interval="wilson", label="any", generated_at=datetime.now())


def _at_least_one(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text[:50]} must be a whole number of at least 1 and below a billion")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text[:50]} must be a number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
