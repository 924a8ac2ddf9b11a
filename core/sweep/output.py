"""The destinations of a sweep's results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from core.records import TrialRecord
from core.sweep.live_table import Tabulate

Markdown = Callable[[Sequence[TrialRecord]], str]


@dataclass(frozen=True)
class Output:
    """The destinations of a sweep's results, and the tables that show them.

    Attributes:
        storage: absolute folder or URI; the sweep's files are below it in a folder with the sweep's name.
        mlflow_uri: MLflow tracking URI.
        console: the terminal or log that shows progress.
        tabulate: makes the table of cells that is shown while the sweep runs.
        markdown: makes the table for the sweep's description in MLflow, from finished and open trials.
    """

    storage: str
    mlflow_uri: str
    console: Console
    tabulate: Tabulate
    markdown: Markdown
