"""Run a seeded sweep of adversarial training and print the probability of instability per cell.

    python jobs/sweep_trades.py                                  # the quick preset on this machine
    python jobs/sweep_trades.py --preset table2-batch --data-dir /data --gpus-per-worker 1
    python jobs/sweep_trades.py --seeds-from quick --heal fosc --no-stop --name healed    # retrain its unstable seeds
    python jobs/sweep_trades.py --until-width 0.4 --plan --pilot quick
    RAY_AUTH_MODE=token ray job submit --working-dir . -- python jobs/sweep_trades.py

Running the command again with the same --name continues the sweep: finished trials stay, interrupted trials go on.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from core.cluster.chosen import keep_on_loopback
from core.command.exit_codes import ALL_CRASH, DONE, INCOMPLETE, INTERRUPTED, OVER_BUDGET, run_job
from core.command.request import SweepRequest, read_request
from core.command.untracked import print_untracked
from core.config.default_paths import data_root, home, tracking_uri
from core.config.passes import passes_per_batch
from core.garbage import collection_paused
from core.quantity import quantity

if TYPE_CHECKING:
    from analysis.report.context import ReportContext
    from core.allocation import SeedHistory
    from core.config.base import Number
    from core.records import TrialRecord

PRESETS = Path(__file__).parent / "presets"
MAX_GENERATED_VALUES = 20_000_000
"""Pixel values of a generated data set up to which a dry run generates it."""


def main(args: list[str]) -> int:
    """Parse, run, print.

    Exit code: 0 done, 1 file error, 2 bad input or storage error, 3 trials without a record, 4 a server was away for
    too long or another driver has the sweep, 5 stopped because all trials crashed, 6 stopped by the budget, 130
    interrupted.
    """
    console = Console(width=None if sys.stdout.isatty() else 120)

    def job() -> int:
        request = read_request(args, PRESETS, __doc__ or "")
        if request.plan:
            return print_plan(request, console)
        if request.dry_run:
            return print_dry_run(request, console)
        return run_and_print(request, console)

    return run_job(job)


def print_dry_run(request: SweepRequest, console: Console) -> int:
    """Print the cells, trials and cost of the sweep, assuming that no trial is stopped early; train nothing."""
    from analysis.report.tables.dry_run_table import PlannedCell, dry_run_table
    from core.engine.cost import seconds_per_epoch, trial_flop

    sweep, run = request.sweep, request.run
    tflops = run.device_tflops
    planned = []
    for entry in sweep.entries:
        trials = len(sweep.pin_groups) * len(entry.numbered(sweep.first_seed))
        seconds = trials * entry.cell.training.epochs * seconds_per_epoch(entry.cell, sweep.protocol, tflops)
        flop = trial_flop(entry.cell, sweep.protocol)
        planned.append(PlannedCell(entry.cell.flat(), passes_per_batch(entry.cell), trials, flop, seconds / 3600))
    console.print(f"Sweep [bold]{sweep.name}[/bold]: nothing is started", soft_wrap=True, highlight=False)
    console.print(dry_run_table(planned))
    print_description(request, console)
    hours = sum(cell.device_hours for cell in planned)
    console.print(
        f"{quantity(len(planned), 'cell')}, {quantity(sweep.trials, 'trial')}, {hours:.3g} device-hours at "
        f"{tflops:g} TFLOP/s sustained (--device-tflops), with validation and verdicts, early stopping left out.",
        soft_wrap=True,
    )
    print_missing_inputs(request, console)
    if request.max_device_hours is not None:
        console.print(budget_line(hours, request.max_device_hours, run.price), soft_wrap=True, highlight=False)
    print_feasibility(request, console)
    return DONE


def print_description(request: SweepRequest, console: Console) -> None:
    """Print what the preset is about, and a line for each of its values that has lost its effect."""
    console.print(escape(request.description), style="dim", highlight=False)
    print_lost_effects(request, console)


def print_lost_effects(request: SweepRequest, console: Console) -> None:
    """Print a line for each value that can change nothing beside the given flags."""
    for line in request.lost_effects:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def print_missing_inputs(request: SweepRequest, console: Console) -> None:
    """Print a line if initial weights or extra images cannot be read here. The sweep may be run elsewhere."""
    from core.checkpoints.inputs import with_inputs

    try:
        with_inputs(request.sweep, request.storage, data_root(request.run.data_dir))
    except ValueError as error:
        line = f"Note: the sweep cannot be started here: {error}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def budget_line(hours: float, limit: float, price: Number | None) -> str:
    """Whether an estimate of device-hours is within the budget of --max-device-hours or --max-cost."""
    money = "" if price is None else f" (cost {hours * float(price):.4g} of {limit * float(price):.4g})"
    verdict = "is above" if hours > limit else "is within"
    return f"The estimate of {hours:.3g} device-hours {verdict} the budget of {limit:.3g}{money}."


def print_feasibility(request: SweepRequest, console: Console) -> None:
    """Print the share of test images at which no classifier can be robust, for each data set and radius."""
    from analysis.report.feasibility_note import feasibility_note
    from core.data.feasibility import feasibility
    from core.data.load import load_dataset
    from core.storage.address import is_s3

    cells = [entry.cell for entry in request.sweep.entries]
    for data in dict.fromkeys(cell.data for cell in cells):
        if is_s3(request.run.data_dir) or data.generated_values > MAX_GENERATED_VALUES:
            console.print(f"Feasibility on {data.dataset} is measured by the trials.", soft_wrap=True, highlight=False)
            continue
        try:
            dataset = load_dataset(data, request.run.data_dir)
        except ValueError as error:
            console.print(f"Feasibility is not checked: {escape(str(error))}", soft_wrap=True, highlight=False)
            continue
        for epsilon in sorted({cell.attack.epsilon for cell in cells if cell.data == data}):
            note = feasibility_note(data.dataset, feasibility(dataset.train, dataset.test, epsilon))
            console.print(escape(note), soft_wrap=True, highlight=False)


def print_plan(request: SweepRequest, console: Console) -> int:
    """Forecast the trials and costs that the sweep's goal takes; train nothing."""
    from analysis.questions.countable_trials import countable_trials
    from analysis.questions.forecast import forecast
    from analysis.questions.forecast_assumptions import assumed_cells, confirm_delay, pilot_of
    from analysis.report.tables.forecast_table import forecast_tables
    from core.allocation import StoppingPolicy
    from core.config.naming import naming_options, setting_name
    from core.engine.cost import seconds_per_epoch
    from core.ledger.earlier import sweep_ledger
    from core.ledger.snapshot import SweepReader

    sweep, run, plan, protocol = request.sweep, request.run, request.plan, request.sweep.protocol
    assert plan is not None
    assert request.goal is not None
    cells = [entry.cell for entry in sweep.entries]
    records: list[TrialRecord] = []
    if plan.pilot:
        pilot = SweepReader(sweep_ledger(request.storage, plan.pilot)).read()
        records, _ = countable_trials(pilot.trials, pilot.history)
        truths, counts = pilot_of(records, [cell.id for cell in cells])
        if not any(finished for _, finished in counts):
            raise ValueError(f"--pilot {plan.pilot}: it has no countable trial in a cell of this sweep")
        assumed = [f"{unstable}/{finished} in {plan.pilot}" for unstable, finished in counts]
    else:
        seconds = [seconds_per_epoch(cell, protocol, run.device_tflops) for cell in cells]
        truths = assumed_cells(request.rates, [cell.training.epochs for cell in cells], seconds, protocol.fosc_grace)
        counts, assumed = None, [f"{truth.rate:g}" for truth in truths]
    delay = confirm_delay(records, protocol.fosc_patience)
    simulated = partial(
        forecast,
        truths,
        interval=anytime,
        policy=StoppingPolicy(stop=protocol.stop, confirm_delay=delay, audit=protocol.audit),
        pilot=counts,
        continue_pilot=plan.pilot == sweep.name,
        concurrency=run.max_concurrent or 1,
        price_per_device_hour=run.price,
        simulations=plan.simulations,
    )
    found = simulated(goal=request.goal)
    flat = [cell.flat() for cell in cells]
    factors = naming_options(flat)
    options = [{name: cell.get(name) for name in factors} or {"cell": setting_name(cell)} for cell in flat]
    console.print(f"Plan of sweep [bold]{sweep.name}[/bold]: nothing is started", soft_wrap=True, highlight=False)
    print_lost_effects(request, console)
    console.print(forecast_tables(found, options, list(map(passes_per_batch, cells)), assumed, run.max_concurrent or 1))
    limit = request.goal.max_device_hours
    if limit is not None and (request.goal.until_width or request.goal.max_trials):
        needed = simulated(goal=request.goal.model_copy(update={"max_device_hours": None})).device_hours.median
        console.print(budget_line(needed, float(limit), run.price), soft_wrap=True, highlight=False)
    return DONE


def anytime(unstable: int, finished: int) -> tuple[float, float]:
    """Bounds of the anytime-valid interval, by which adaptive sweeps decide."""
    from analysis.statistics.intervals import confidence_sequence

    interval = confidence_sequence(unstable, finished)
    return interval.low, interval.high


def run_and_print(request: SweepRequest, console: Console) -> int:
    """Run the sweep and print the table, the locations of results, and how to continue."""
    from core.allocation import SeedHistory
    from core.data.load import require_files
    from core.ledger.ledger import Ledger
    from core.storage import Store
    from core.sweep.await_servers import await_servers

    run, storage, goal = request.run, request.storage, request.goal
    keep_on_loopback(run.address)
    for data in () if run.download else dict.fromkeys(entry.cell.data for entry in request.sweep.entries):
        require_files(data, run.data_dir)
    mlflow_uri = tracking_uri(run.mlflow_uri)
    await_servers(storage, request.sweep.name, mlflow_uri, 60 * float(run.wait_for_servers), console)
    sweep = Ledger(Store(storage).child(request.sweep.name), request.sweep.name).continued(request.sweep)
    console.print(
        f"Sweep [bold]{sweep.name}[/bold]: {quantity(len(sweep.entries), 'cell')}. "
        f"Records: {escape(storage)}/{sweep.name}",
        soft_wrap=True,
        highlight=False,
    )
    print_description(request, console)
    with collection_paused():  # imported after the first lines are printed, because these imports take seconds
        from analysis.questions.cell_progress import sweep_cells
        from analysis.questions.mixtures import mixtures
        from analysis.report.context import report_context
        from analysis.report.end_of_training import end_sentence
        from analysis.report.feasibility_note import feasibility_warnings
        from analysis.report.mlflow_description import mlflow_description
        from analysis.report.tables.cells_table import main_table
        from analysis.report.tables.progress_table import ProgressTable
        from core.sweep.driver import run_sweep
        from core.sweep.output import Output
        from core.sweep.training import Adaptive

    history = SeedHistory(sweep.first_seed, Ledger(Store(storage).child(sweep.name), sweep.name).plans(sweep, goal))

    def context(trials: Sequence[TrialRecord]) -> ReportContext:
        return report_context(sweep.name, trials, history=history)

    cells = {entry.cell.id: entry.cell.flat() for entry in sweep.entries}
    result = run_sweep(
        sweep,
        run,
        Output(
            storage=storage,
            mlflow_uri=mlflow_uri,
            console=console,
            tabulate=lambda records, progress: ProgressTable(sweep_cells(records, progress, cells, history.plans)),
            markdown=lambda trials: mlflow_description(context(trials)),
        ),
        Adaptive(goal, anytime) if goal else None,
        request.max_device_hours,
    )
    if result.records:
        shown = context(result.trials)
        console.print(main_table(shown.cells))
        if at_the_end := end_sentence(shown):
            console.print(at_the_end, highlight=False)
        for warning in [*feasibility_warnings(result.records), *mixtures(result.records)]:
            console.print(escape(warning), soft_wrap=True, highlight=False)
        if sweep.rerun or any(record.pins for record in result.records):
            print_designed(request, result.records, history, console)
    print_links(mlflow_uri, result.links, console)
    print_reading(sweep.name, storage, mlflow_uri, console)
    if result.untracked:
        print_untracked(result.untracked, sweep.name, console)
    if result.stop:
        console.print(escape(result.stop.sentence), soft_wrap=True, highlight=False)
    if result.interrupted or result.stop or result.unfinished:
        saved = sum(record.key not in result.unfinished for record in result.records)
        console.print(
            f"{quantity(saved, 'trial')} saved, {len(result.unfinished)} not finished or crashed; "
            f"to continue, run the same command again (--name {sweep.name}).",
            soft_wrap=True,
            highlight=False,
        )
        if result.stop:
            return {"crashes": ALL_CRASH, "budget": OVER_BUDGET}[result.stop.cause]
        return INTERRUPTED if result.interrupted else INCOMPLETE
    return DONE


def print_reading(sweep: str, storage: str, mlflow_uri: str, console: Console) -> None:
    """Print the command that makes the report. In a Ray job it names the host, and where on it the results are."""
    command = f"python jobs/report.py --sweep {sweep}"
    if home() != Path.cwd():
        command += f" --storage {storage} --mlflow-uri {mlflow_uri}"
        if "://" not in storage:
            command = f"on {platform.node()}, in a clone of this project: {command}"
    elif storage != str(home() / "results"):
        command += f" --storage {storage}"
    console.print(f"Report: {command}", soft_wrap=True, highlight=False, markup=False)


def print_links(mlflow_uri: str, links: tuple[str, str] | None, console: Console) -> None:
    """Print where MLflow shows the sweep, and the command that shows it."""
    from core.tracking.views import user_interface

    address, note = user_interface(mlflow_uri)
    if links:
        lines = [f"MLflow, the sweep: {address}/{links[0]}", f"MLflow, stable against unstable: {address}/{links[1]}"]
    else:
        lines = [f"MLflow: {address}"]
    for line in [*lines, *([note] if note else [])]:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def print_designed(
    request: SweepRequest, records: Sequence[TrialRecord], history: SeedHistory, console: Console
) -> None:
    """Print the results of a sweep with healing (trials fixed by it) or with pinned seeds (variance components)."""
    from analysis.questions.healing import EarlierRecords
    from analysis.report.context import report_context
    from analysis.report.sections.healing import healing_sections
    from analysis.report.sections.variance_components import variance_sections
    from analysis.report.terminal_section import section_for_terminal

    earlier = None
    if rerun := request.sweep.rerun:
        from core.ledger.earlier import earlier_records

        earlier = EarlierRecords(rerun.sweep, earlier_records(request.storage, rerun.sweep), rerun.counterparts)
    context = report_context(request.sweep.name, records, history=history, earlier=earlier)
    for section in [*healing_sections(context), *variance_sections(context)]:
        console.print(*section_for_terminal(section), sep="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
