"""The results of the benchmark as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.table import Table

from core.engine.provenance import git_commit, hardware
from jobs.speed.result import Result


def header(device: torch.device) -> dict[str, str]:
    """The conditions of the measurement: hardware, threads, versions, commit, and the load of the machine."""
    load = os.getloadavg()[0]
    return {
        "hardware": hardware(device),
        "cpus": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": git_commit(),
        "load average at the start": f"{load:.1f}",
    }


def table(head: Mapping[str, str], results: Sequence[Result]) -> Table:
    """One line per result: median, lowest and highest repeat, their number, and the goal."""
    title = ", ".join(f"{name} {value}" for name, value in head.items())
    shown = Table(title=title, title_justify="left", show_lines=True, expand=True)
    shown.add_column("row", no_wrap=True)
    shown.add_column("what is compared", ratio=1)
    for name in ("median", "min to max", "n", "goal"):
        shown.add_column(name, justify="right", no_wrap=True)
    for result in results:
        compared = result.compared + (f"\n[dim]{result.note}[/dim]" if result.note else "")
        spread = f"{_number(min(result.values))} to {_number(max(result.values))}" if len(result.values) > 1 else ""
        median = f"{_number(result.median)} {result.unit}"
        shown.add_row(result.row, compared, median, spread, str(len(result.values)), _goal(result))
    return shown


def write_json(path: Path, head: Mapping[str, str], results: Sequence[Result]) -> None:
    """The header and all results, with every repeat's value."""
    content = {"header": dict(head), "results": [result.plain() for result in results]}
    path.write_text(json.dumps(content, indent=1) + "\n")


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _goal(result: Result) -> str:
    if result.goal is None:
        return ""
    verdict = "[green]met[/green]" if result.goal.met_by(result.median) else "[red]missed[/red]"
    return f"{result.goal.sign} {result.goal.bound:g} {verdict}"
