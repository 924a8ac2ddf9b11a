"""Print the table of a sweep, and write one self-contained HTML report that can be sent to a colleague.

    python jobs/report.py --sweep quick                            # also while the sweep runs
    python jobs/report.py --sweep quick --mlflow-uri http://server:5000
    python jobs/report.py --sweep quick --format csv > rates.csv
    python jobs/report.py --sweep quick --figures                  # the paper's Figures 1 to 7 as svg and png
    python jobs/report.py --sweep mine --against quick             # and the rates of another sweep beside them
    python jobs/report.py --sweep healed --figures                 # Table 3 and Figure 6, with the sweep it heals

All results are read from --storage. If MLflow can be reached and has the sweep, the report is also logged there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console

from analysis.report.options import ReportOptions
from core.command.exit_codes import DONE, run_job
from core.command.help_page import read_flags
from core.command.paths import can_be_file, can_be_folder
from core.config import StorageOptions, validated
from core.config.default_paths import data_root, home, storage_root, tracking_uri
from core.config.flags import Flag, FlagGroup, model_flags
from core.config.names import checked_name

if TYPE_CHECKING:
    from analysis.questions.healing import EarlierRecords
    from analysis.report.context import ReportContext
    from analysis.report.figures.paper import Panel
    from core.records import TrialRecord
    from core.tracking import TrackedSweep

Say = Callable[[str], None]
MLFLOW_URI = "MLflow store to which the report is logged and whose runs it links"
GROUPS = (
    FlagGroup(
        "report",
        "the sweep to read, and the files to write",
        (
            Flag("sweep", "name of the sweep", required=True),
            Flag("against", "another sweep of the same --storage, whose rates are compared with this one's"),
            Flag("output", "file of the report", value="default: ./SWEEP-report.html"),
            Flag(
                "figures", "draw the paper's figures into this folder; without a folder: ./SWEEP-figures", "at most one"
            ),
        ),
    ),
    FlagGroup("statistics", "definition of instability, intervals and costs", model_flags(ReportOptions)),
    FlagGroup(
        "storage",
        "location of records, data and tracking",
        tuple(
            replace(flag, text=MLFLOW_URI) if flag.name == "mlflow_uri" else flag
            for flag in model_flags(StorageOptions, {"storage", "data_dir", "mlflow_uri"})
        ),
    ),
)


class ReportRequest(NamedTuple):
    """What the command line asks for."""

    sweep: str
    mlflow_uri: str
    storage: str
    data_dir: str
    output: Path
    figures: Path | None
    """Folder of the figures; None: no figures."""
    options: ReportOptions
    against: str | None = None
    """Name of the sweep to compare with."""


def main(args: list[str]) -> int:
    """Parse, report, print. Exit code: 0 done, 1 file error, 2 bad input or storage error."""

    def job() -> int:
        request = read_request(args)
        # with --format, stdout contains only the table
        console = Console(stderr=request.options.format is not None, width=None if sys.stdout.isatty() else 120)
        report(request, console)
        return DONE

    return run_job(job)


def read_request(args: list[str]) -> ReportRequest:
    """Read the request from the command line.

    Raises:
        ValueError: options are wrong; the message has one line for each.
    """
    given = read_flags(GROUPS, args, __doc__ or "")
    options = validated(ReportOptions, {k: v for k, v in given.items() if k in ReportOptions.model_fields})
    name, figures = checked_name("--sweep", given["sweep"]), given.get("figures")
    output = Path(given["output"]) if "output" in given else home() / f"{name}-report.html"
    if not can_be_file(output):
        raise ValueError(f"--output {output}: must be a file in an existing folder")
    if figures and not can_be_folder(Path(figures)):
        raise ValueError(f"--figures {figures}: must be an existing folder, or a new one in an existing folder")
    return ReportRequest(
        sweep=name,
        mlflow_uri=tracking_uri(given.get("mlflow_uri")),
        storage=storage_root(given.get("storage")),
        data_dir=data_root(given.get("data_dir", StorageOptions().data_dir)),
        output=output.resolve(),
        figures=None if figures is None else Path(figures or home() / f"{name}-figures").resolve(),
        options=options,
        against=checked_name("--against", given["against"]) if "against" in given else None,
    )


def report(request: ReportRequest, console: Console) -> None:
    """Print the table and further results, write the report and the figures, and log them to MLflow."""
    from core.ledger.snapshot import read_snapshot
    from core.tracking.address import absolute_uri

    absolute_uri(request.mlflow_uri)  # an invalid address is an error before any work
    snapshot = read_snapshot(request.storage, request.sweep)  # before the imports of statistics, which take seconds
    from analysis.questions.countable_trials import started
    from analysis.report.answer_sentence import answer_sentence
    from analysis.report.context import report_context
    from analysis.report.decision_sentence import decision_sentence
    from analysis.report.end_of_training import end_sentence
    from analysis.report.html_page import write_report
    from analysis.report.interval_sentence import interval_sentence
    from analysis.report.sections import SECTIONS, TERMINAL_SECTIONS
    from analysis.report.tables.cells_export import render
    from analysis.report.tables.cells_table import main_table
    from analysis.report.terminal_section import section_for_terminal
    from core.steps import Steps
    from core.tracking.views import user_interface

    options = request.options
    say = _line_printer(console)
    earlier = _earlier(request, started(snapshot.trials), say)
    context = report_context(request.sweep, snapshot.trials, options, history=snapshot.history, earlier=earlier)
    if snapshot.progress and not snapshot.alive:
        context = replace(context, stopped_because=snapshot.progress.stopped_because)
    if request.against:
        context = replace(context, against=_against(request, snapshot.trials))
    if options.format:
        sys.stdout.write(render(context.cells, options.format))
    else:
        console.print(answer_sentence(context.cells, decision_sentence(context), context.together), highlight=False)
        if at_the_end := end_sentence(context):
            console.print(at_the_end, highlight=False)
        console.print(main_table(context.cells))
    say(interval_sentence(context))
    if context.stopped_because:
        say(context.stopped_because)
    if uncounted := context.uncounted:
        say(f"{uncounted} finished trials count once those with earlier seeds have ended.")
    if left_out := context.left_out:
        say(f"{left_out} finished trials are left out, because their cells had ended with smaller seeds.")
    for make in TERMINAL_SECTIONS:
        for section in make(context):
            console.print(*section_for_terminal(section), sep="\n")
    panels = _landscapes(request, context.records, say) if request.figures else []
    tracked = _tracked(request, say)
    ui, note = user_interface(request.mlflow_uri)
    context = replace(
        context,
        landscapes=[panel for panel in panels if panel.part == "contour"],
        links={key: f"{ui}/{page}" for key, page in tracked.pages.items()} if tracked else {},
        links_note=note if tracked else "",
    )
    with Steps(console, "sections of the report", len(SECTIONS)) as steps:
        write_report(context, request.output, generated_at=datetime.now(UTC), advance=steps.advance)
    say(f"Report: {request.output}")
    figures = _write_figures(request.figures, panels, context, say) if request.figures else []
    if tracked:
        _log(tracked, request.output, figures, f"{ui}/{tracked.page}", note, say)


def _against(request: ReportRequest, records: Sequence[TrialRecord]) -> ReportContext:
    """The other sweep, with the label that the designs of both sweeps can answer, unless the reader chose one.

    Raises:
        ValueError: the storage has no such sweep.
    """
    from analysis.questions.countable_trials import default_label
    from analysis.report.context import report_context
    from core.ledger.snapshot import read_snapshot

    assert request.against is not None
    other = read_snapshot(request.storage, request.against, option="--against")
    label = request.options.label or default_label([*records, *other.trials])
    options = request.options.model_copy(update={"label": label, "interval": None})
    return report_context(request.against, other.trials, options, history=other.history)


def _tracked(request: ReportRequest, say: Say) -> TrackedSweep | None:
    """The sweep's runs in MLflow. If MLflow can't be reached or lacks the sweep, print a sentence and return None."""
    from core.tracking import TrackedSweep

    try:
        return TrackedSweep(request.mlflow_uri, request.sweep)
    except ValueError as error:
        say(f"Not logged to MLflow: {error}")
        return None


def _log(tracked: TrackedSweep, page: Path, figures: Sequence[Path], address: str, note: str, say: Say) -> None:
    try:
        tracked.log_files([page])
        tracked.log_files(figures, "figures")
    except ValueError as error:
        say(f"Not logged to MLflow: {error}")
        return
    say(f"Logged to MLflow: {address}")
    if note:
        say(note)


def _earlier(request: ReportRequest, records: Sequence[TrialRecord], say: Say) -> EarlierRecords | None:
    """The earlier sweep whose trials this sweep trains again; prints a sentence if it is missing."""
    from analysis.questions.healing import EarlierRecords
    from core.ledger.earlier import earlier_records, stored_rerun

    try:
        rerun = stored_rerun(request.storage, request.sweep)
        if rerun:
            return EarlierRecords(rerun.sweep, earlier_records(request.storage, rerun.sweep), rerun.counterparts)
    except ValueError as error:
        say(f"The comparison with the earlier sweep is left out: {error}")
        return None
    if all(record.cell["heal"] != "none" for record in records):
        say(f"No trial without healing to compare with: {request.storage} does not name the earlier sweep.")
    return None


def _landscapes(request: ReportRequest, records: Sequence[TrialRecord], say: Say) -> list[Panel]:
    from analysis.questions.rates import trial_names
    from analysis.report.figures.example_trials import landscape_pair
    from analysis.report.figures.paper import landscape_panels
    from core.evaluation.landscapes import checkpoint_landscapes
    from core.ledger.ledger import Ledger
    from core.storage import CorruptFileError, Store

    pair = landscape_pair(records)
    if pair is None:
        say(
            "Figure 1 is left out: it compares a stable and an unstable network of the same data, radius and model, "
            "and this sweep has no such pair with stored weights."
        )
        return []
    names = trial_names(records)
    compared = pair._asdict()
    ledger = Ledger(Store(request.storage).child(request.sweep), request.sweep)
    try:
        offsets, losses = checkpoint_landscapes(compared, ledger, request.data_dir)
    except (ValueError, CorruptFileError) as error:
        say(f"Figure 1 is left out: {error}")
        return []
    described = {end: f"{names.of(shown.record)}, {shown.checkpoint} checkpoint" for end, shown in compared.items()}
    return landscape_panels(offsets, losses, described)


def _write_figures(folder: Path, panels: Sequence[Panel], context: ReportContext, say: Say) -> list[Path]:
    from analysis.report.figures.paper import paper_panels, write_figures

    folder.mkdir(parents=True, exist_ok=True)
    drawn = [*panels, *paper_panels(context.records, context.earlier)]
    files = [file for form in ("svg", "png") for file in write_figures(drawn, folder, form)]
    numbers = sorted({panel.figure for panel in drawn})
    say(f"Figures {', '.join(map(str, numbers)) or '(none yet)'}: {folder}")
    return files


def _line_printer(console: Console) -> Say:
    return lambda text: console.print(text, soft_wrap=True, highlight=False, markup=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
