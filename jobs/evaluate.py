"""Attack or measure the stored checkpoints of a sweep, and print robust accuracies and measures per cell.

    python jobs/evaluate.py --sweep quick                          # the selected checkpoints, Table 1's columns
    python jobs/evaluate.py --sweep quick --which selected last --images 200 --restarts 1
    python jobs/evaluate.py --sweep quick --mode standard          # AutoAttack's own cascade
    python jobs/evaluate.py --sweep quick --mode none --attacks pgd-50x10 cw deepfool
    python jobs/evaluate.py --sweep quick --measure adversarial-vulnerability margin   # no attacks
    python jobs/evaluate.py --checkpoint results/quick/trials/KEY/selected.pt

Running the command again continues the evaluation: every finished attack or measure on a block of images is kept.
Results do not depend on the machines that blocks run on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.cluster.chosen import keep_on_loopback
from core.command.exit_codes import DONE, FAILED, INTERRUPTED, print_error, run_job
from core.command.help_page import read_flags
from core.command.paths import is_file
from core.command.untracked import print_untracked
from core.config import ClusterOptions, RunOptions, StorageOptions, validated
from core.config.default_paths import storage_root, tracking_uri
from core.config.flags import Flag, FlagGroup, model_flags
from core.config.names import checked_name
from core.config.plugins import PluginError, load_plugin
from core.evaluation.options import EvaluationOptions
from core.records import Measured, TrialRecord

RUN_FLAGS = (
    *("data_dir", "storage", "worker_role", "mlflow_uri"),
    *("address", "cpus_per_worker", "gpus_per_worker", "max_concurrent"),
)
TEXTS = {
    "cpus_per_worker": "number of CPUs per process that attacks or measures",
    "gpus_per_worker": "number of GPUs per process that attacks or measures; may be a fraction",
    "max_concurrent": "largest number of blocks of images that are attacked or measured at once",
}
VALUES = {"gpus_per_worker": "default: 1 if the cluster has GPUs, else 0"}
"""Descriptions and values of the options that mean something else here than for a sweep."""
GROUPS = (
    FlagGroup(
        "checkpoints",
        "the checkpoints to attack or measure: of a sweep, or one file",
        (
            Flag("sweep", "sweep whose checkpoints are evaluated"),
            Flag("checkpoint", ".pt file of one trial, instead of a sweep; no record is changed"),
            Flag("plugin", "plug-ins that the cells of --checkpoint and --source use; a sweep has its own", "many"),
            Flag("by_outcome", "print one row per cell and outcome", "switch"),
        ),
    ),
    FlagGroup("attacks", "the attacks, their images and their strength", model_flags(EvaluationOptions)),
    FlagGroup(
        "cluster",
        "Ray cluster and resources",
        tuple(
            replace(flag, text=TEXTS.get(flag.name, flag.text), value=VALUES.get(flag.name, flag.value))
            for flag in model_flags(ClusterOptions, RUN_FLAGS)
        ),
    ),
    FlagGroup("storage", "location of records, data and tracking", model_flags(StorageOptions, RUN_FLAGS)),
)
MOST_USED = (
    "sweep",
    "checkpoint",
    "which",
    "mode",
    "attacks",
    "measure",
    "images",
    "restarts",
    "by_outcome",
    "storage",
)


def main(args: list[str]) -> int:
    """Parse, evaluate, print.

    Exit code: 0 done, 1 an attack failed or file error, 2 bad input or storage error, 130 interrupted.
    """
    console = Console(width=None if sys.stdout.isatty() else 160)
    return run_job(lambda: evaluate(args, console))


def evaluate(args: list[str], console: Console) -> int:
    """Evaluate the sweep or the file that the command line names."""
    given = read_flags(GROUPS, args, __doc__ or "", MOST_USED)
    options, run = read_options(given)
    keep_on_loopback(run.address)
    for plugin in given.get("plugin", ()):
        try:
            load_plugin(plugin)
        except PluginError as error:
            raise ValueError(f"--plugin {plugin}: {error}") from error
    if ("sweep" in given) == ("checkpoint" in given):
        raise ValueError("give either --sweep NAME or --checkpoint PATH")
    require_checkpoints(given, run)
    from core.evaluation.pool import EvaluationError

    try:
        if "checkpoint" in given:
            return evaluate_one(given["checkpoint"], options, run, console)
        return evaluate_all(given["sweep"], options, run, console, by_outcome=given.get("by_outcome", False))
    except EvaluationError as error:
        print_error(error)
        return FAILED


def require_checkpoints(given: dict[str, Any], run: RunOptions) -> None:
    """Refuse a sweep or a local file that does not exist, before the imports of torch and Ray, which take seconds.

    Raises:
        ValueError: there is no such sweep or file.
    """
    if "sweep" in given:
        from core.ledger.snapshot import stored_sweep

        checked_name("--sweep", given["sweep"])
        stored_sweep(storage_root(run.storage), given["sweep"])
    elif "://" not in given["checkpoint"] and not is_file(given["checkpoint"]):
        raise ValueError(f"--checkpoint {given['checkpoint']}: there is no such file")


def read_options(given: dict[str, Any]) -> tuple[EvaluationOptions, RunOptions]:
    """Options of the evaluation and of the run, from parsed flags.

    Raises:
        ValueError: options are wrong; the message has one line for each.
    """
    chosen = _known(given, EvaluationOptions.model_fields)
    if "measure" in chosen and not {"mode", "attacks"} & chosen.keys():
        chosen["mode"] = "off"
    options = validated(EvaluationOptions, chosen)
    return options, validated(RunOptions, _known(given, RUN_FLAGS))


def evaluate_all(name: str, options: EvaluationOptions, run: RunOptions, console: Console, by_outcome: bool) -> int:
    """Evaluate a sweep and print its tables."""
    from analysis.questions.countable_trials import countable_trials
    from analysis.report.context import report_context
    from analysis.report.mlflow_description import mlflow_description
    from analysis.report.tables.evaluation_table import (
        EvaluationRow,
        evaluation_rows,
        evaluation_table,
        stored_evaluations_markdown,
    )
    from analysis.report.tables.measure_table import measure_tables
    from analysis.report.tables.text_table import TerminalTable
    from core.evaluation.attack_plan import summary_name
    from core.evaluation.driver import evaluate_sweep

    storage = storage_root(run.storage)

    def rows(trials: Sequence[TrialRecord], checkpoint: Any) -> list[EvaluationRow]:
        counted, _ = countable_trials(trials)
        return evaluation_rows(counted, checkpoint, summary_name(options.mode), by_outcome)

    result = evaluate_sweep(
        name,
        options,
        run,
        storage=storage,
        mlflow_uri=tracking_uri(run.mlflow_uri),
        console=console,
        markdown=stored_evaluations_markdown,
        summary=lambda trials: mlflow_description(report_context(name, trials)),
    )
    for checkpoint in options.which if options.mode != "off" else ():
        console.print(f"[bold]{checkpoint}[/bold] checkpoints")
        console.print(TerminalTable(evaluation_table(rows(result.trials, checkpoint))))
    for table in measure_tables(countable_trials(result.trials)[0]) if options.measure else ():
        console.print(TerminalTable(table))
    written = " and ".join(
        [*(["evaluation.json"] if options.mode != "off" else []), *(["measures.json"] if options.measure else [])]
    )
    console.print(f"Stored in {escape(storage)}/{name}/trials/*: {written}", soft_wrap=True, highlight=False)
    if result.untracked:
        print_untracked(result.untracked, name, console)
    return _interrupted(console) if result.interrupted else DONE


def evaluate_one(path: str, options: EvaluationOptions, run: RunOptions, console: Console) -> int:
    """Evaluate one checkpoint and print its measurements."""
    from core.evaluation.driver import evaluate_file

    found = evaluate_file(path, options, run, console)
    if found is None:
        return _interrupted(console)
    measured, measures = found
    if measures:
        console.print(_values_table(measures))
    if not measured:
        return DONE
    table = Table(box=SIMPLE_HEAD)
    columns = ("attack", "accuracy", "steps", "restarts", "queries", "targets", "images", "block", "seed")
    for column in (*columns, "epsilon", "precision", "library"):
        table.add_column(column)
    for m in measured:
        values = [getattr(m, column) for column in columns]
        epsilon = "" if m.epsilon is None else f"{m.epsilon:.4g}"
        table.add_row(*("" if v is None else _text(v) for v in values), epsilon, m.precision, m.library)
    console.print(table)
    return DONE


def _values_table(measures: Sequence[Measured]) -> Table:
    table = Table("measure", "value", "number", "images", box=SIMPLE_HEAD)
    for m in measures:
        for name, value in m.values.items():
            table.add_row(m.measure, name, "not finite" if value is None else _text(value), f"{m.images} {m.split}")
    return table


def _interrupted(console: Console) -> int:
    console.print("Interrupted; to continue, run the same command again.")
    return INTERRUPTED


def _text(value: float | int | str) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _known(given: dict[str, Any], names: Any) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
