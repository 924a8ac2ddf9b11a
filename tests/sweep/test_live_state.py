"""The state that a driver shows of its sweep: counts, cost, remaining time, and their display."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from analysis.questions.cell_progress import sweep_cells
from analysis.report.tables.progress_table import ProgressTable
from analysis.statistics.intervals import interval
from core.config import Cell, ProtocolOptions, SeededCell, Sweep, Trial
from core.engine.attempts import Attempts
from core.ledger.progress_text import cost_line, log_line
from core.records import Outcome, TrialRecord, Verdict
from core.records.progress import MISSED_REPORTS, PERIOD_S, SLACK_S, SweepProgress
from core.sweep import live_state as module
from core.sweep.live_state import LiveState
from core.sweep.live_table import LiveTable
from core.sweep.terminal import Display, heartbeat_s
from core.sweep.trial_plan import fixed_trials
from core.verdict import censor

EPOCHS = 10


class Clock:
    """A clock that only a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 1e9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def sweep_of(cells: int, seeds: int) -> Sweep:
    entries = [
        SeededCell(cell=Cell.from_flat({"beta": beta, "epochs": EPOCHS}), seeds=seeds) for beta in range(1, cells + 1)
    ]
    return Sweep(name="s", preset="none", entries=tuple(entries), protocol=ProtocolOptions())


def record_of(trial: Trial, outcome: Outcome = "stable", seconds: float = 30.0) -> TrialRecord:
    return TrialRecord(
        sweep="s",
        **trial.record_fields(),
        protocol={},
        verdict=Verdict(outcome=outcome, onset=outcome == "unstable"),
        epochs_run=EPOCHS,
        device_seconds=seconds,
        trace=[{"epoch": 1, "val/fosc": 1.0}],
    )


def rows(first: int, last: int, seconds: float = 1.0) -> list[dict[str, float | None]]:
    return [{"epoch": e, "time/train_s": seconds, "val/fosc": 0.1 * e} for e in range(first, last + 1)]


def cells_of(live: LiveState) -> ProgressTable:
    return ProgressTable(sweep_cells(live.finished, live.progress(), live.cells))


def test_time_and_cost_left_follow_from_what_the_cells_trials_cost(clock: Clock) -> None:
    sweep = sweep_of(cells=2, seeds=3)
    trials = fixed_trials(sweep)  # The order of cells is a b a b a b.
    live = LiveState(sweep, {}, trials, price=2.0)
    assert live.progress().eta_seconds is None
    assert live.progress().expected_device_seconds is None
    for trial in trials[:2]:
        live.start(trial, trial.key, 1)
    clock.now += 100
    live.finish(record_of(trials[0], seconds=40))
    live.finish(record_of(trials[1], seconds=160))
    live.start(trials[2], trials[2].key, 1)
    live.advance(trials[2].key, rows(1, 5, seconds=4.0))
    progress = live.progress()
    assert (progress.done, progress.total, progress.pending) == (2, 6, {trials[0].cell.id: 1, trials[1].cell.id: 2})
    assert progress.device_seconds == 40 + 160 + 5 * 4
    assert progress.expected_device_seconds == 3 * (40 + 160)
    # Half a trial of cell a is 20 of 600 device-seconds. After 100 s, 220 are spent and 380 remain.
    assert progress.eta_seconds == pytest.approx(100 / 220 * 380)


def test_a_trial_that_goes_on_counts_for_what_this_driver_trained(clock: Clock) -> None:
    sweep = sweep_of(cells=1, seeds=2)
    first, second = fixed_trials(sweep)
    live = LiveState(sweep, {}, [first, second])
    live.start(first, first.key, 1)
    clock.now += 60
    live.advance(first.key, rows(8, 9))  # Epochs 1 to 7 belong to an earlier driver.
    # 2 epochs took 60 s. 1 epoch and a whole trial of 10 epochs remain.
    assert live.progress().eta_seconds == pytest.approx(60 / 2 * 11)


def test_a_quarter_of_a_gpu_costs_a_quarter(clock: Clock) -> None:
    sweep = sweep_of(cells=1, seeds=1)
    (trial,) = fixed_trials(sweep)
    live = LiveState(sweep, {}, [trial])
    live.start(trial, trial.key, 1, device_share=0.25)
    assert live.advance(trial.key, rows(1, 4, seconds=10)) == 10
    assert live.progress().device_seconds == 10


def test_the_nodes_of_a_trial_are_those_of_its_workers() -> None:
    single, group = (trial_with(workers) for workers in (1, 2))
    live = LiveState(sweep_of(cells=1, seeds=1), {}, [single, group])
    for trial in (single, group):
        live.start(trial, trial.key, 1)
        live.locate(trial.key, "head", 100)
    assert (live.running[single.key].nodes, live.running[group.key].nodes) == (("head",), ())
    live.place(group.key, ["one", "two"])
    assert live.running[group.key].nodes == ("one", "two")


def trial_with(workers: int) -> Trial:
    return Trial(cell=Cell.from_flat({"model": "small-cnn", "batch_size": 16, "workers": workers}), seed=0)


def test_what_runs_and_who_is_silent(clock: Clock) -> None:
    sweep = sweep_of(cells=1, seeds=1)
    (trial,) = fixed_trials(sweep)
    live = LiveState(sweep, {}, [trial])
    live.start(trial, trial.key, 2)
    clock.now += 5
    live.advance(trial.key, rows(1, 2))
    clock.now += 7
    (running,) = live.progress().running
    assert (running.key, running.attempt, running.epoch, running.epochs) == (trial.key, 2, 2, EPOCHS)
    assert running.silent_s == pytest.approx(7)
    assert running.metrics == {"fosc": 0.2}
    assert SweepProgress.model_validate_json(live.progress().model_dump_json()) == live.progress()


def test_a_group_has_its_place_when_it_has_reported() -> None:
    for workers, placed in ((1, [1, 1]), (2, [0, 1])):
        cell = Cell.from_flat({"beta": 1, "epochs": EPOCHS, "workers": workers})
        sweep = Sweep(name="s", preset="none", entries=(SeededCell(cell=cell, seeds=1),), protocol=ProtocolOptions())
        (trial,) = fixed_trials(sweep)
        live = LiveState(sweep, {}, [trial])
        live.start(trial, trial.key, 1)
        assert live.placed == placed[0]
        live.advance(trial.key, rows(1, 1))
        assert live.placed == placed[1]


def test_a_driver_is_taken_for_dead_after_a_few_missed_reports(clock: Clock) -> None:
    live = LiveState(sweep_of(1, 1), {}, fixed_trials(sweep_of(1, 1)))
    said = live.progress()
    limit = MISSED_REPORTS * PERIOD_S + SLACK_S
    assert said.is_alive(said.written_at + limit)
    assert not said.is_alive(said.written_at + limit + 1)
    assert said.is_alive(said.written_at - 3600), "another machine's clock is an hour behind"
    assert not said.model_copy(update={"state": "finished"}).is_alive(said.written_at)


def test_without_its_driver_what_ran_waits() -> None:
    sweep = sweep_of(cells=2, seeds=2)
    trials = fixed_trials(sweep)
    live = LiveState(sweep, {}, trials)
    for trial in trials[:3]:
        live.start(trial, trial.key, 1)
    live.finish(record_of(trials[0]))
    left = live.progress().stopped()
    a, b = (entry.cell.id for entry in sweep.entries)
    assert (left.running, left.pending, left.next_seeds) == ((), {a: 1, b: 2}, {a: 1, b: 0})
    assert (left.total, left.eta_seconds) == (4, None)


def test_a_rate_leaves_out_trials_that_overtook_others() -> None:
    sweep = sweep_of(cells=1, seeds=6)
    trials = fixed_trials(sweep)
    live = LiveState(sweep, {}, trials)
    for trial in trials[:5]:
        live.start(trial, trial.key, 1)
    for number, outcome in {0: "stable", 1: "unstable", 3: "unstable", 4: "censored"}.items():
        live.finish(record_of(trials[number], outcome))
    (cell,) = cells_of(live).cells
    assert (cell.done, cell.censored, cell.running, cell.pending) == (3, 1, 1, 1)
    assert (cell.unstable, cell.counted) == (1, 2), "seed 3 ended before seed 2, which still runs"
    assert (cell.interval.low, cell.interval.high) == (interval("blaker", 1, 2).low, interval("blaker", 1, 2).high)
    live.finish(record_of(trials[2], "healed"))
    (cell,) = cells_of(live).cells
    assert (cell.unstable, cell.counted) == (2, 4)


def test_an_adaptive_sweep_has_no_end_and_anytime_intervals() -> None:
    sweep = sweep_of(cells=2, seeds=1)
    trials = [trial.model_copy(update={"allocation": "adaptive"}) for trial in fixed_trials(sweep)]
    live = LiveState(sweep, {}, None)
    live.start(trials[0], trials[0].key, 1)
    live.finish(record_of(trials[0], "unstable"))
    progress = live.progress()
    assert (progress.total, progress.eta_seconds, progress.expected_device_seconds) == (None, None, None)
    assert {cell.interval.kind for cell in cells_of(live).cells} == {"anytime"}
    assert "as needed" in cells_of(live).markdown()


@pytest.fixture(scope="module")
def many() -> LiveState:
    """40 cells x 10 seeds: 120 done, 200 running, 80 waiting."""
    sweep = sweep_of(cells=40, seeds=10)
    trials = fixed_trials(sweep)
    live = LiveState(sweep, {}, trials, price=1.0)
    for trial in trials[:320]:
        live.start(trial, trial.key, 1)
    for trial in trials[:120]:
        live.finish(record_of(trial, "unstable" if trial.seed == 1 else "stable"))
    for number, trial in enumerate(trials[120:320]):
        live.advance(trial.key, rows(1, 1 + number % 9))
    return live


@pytest.mark.parametrize(("width", "height", "pages"), [(80, 24, 3), (200, 50, 1)])
def test_hundreds_of_trials_fit_on_the_terminal(many: LiveState, width: int, height: int, pages: int) -> None:
    shown: set[str] = set()
    for page in range(pages):
        file = io.StringIO()
        console = Console(width=width, height=height, force_terminal=True, color_system=None, file=file)
        display = Display(LiveTable(many, lambda records, progress: cells_of(many)), console)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("core.sweep.terminal.time.monotonic", lambda page=page: 6.0 * page)
            console.print(display._picture())
        lines = file.getvalue().splitlines()
        assert len(lines) < height
        assert max(map(len, lines)) <= width
        text = " ".join(file.getvalue().split())
        assert "120 of 400 trials done, 200 running, 80 waiting" in text
        assert "running: 10 to 90 % of their epochs, median 50 %" in text
        assert not any("…" in line for line in lines), "nothing is cut off"
        shown |= {line.split()[0] for line in lines if line[:1].isdigit() and "/" in line and "trials" not in line}
    assert shown == {str(beta) for beta in range(1, 41)}


def test_each_of_a_few_running_trials_has_its_name_and_its_bar() -> None:
    sweep = sweep_of(cells=2, seeds=3)
    live = LiveState(sweep, {}, fixed_trials(sweep))
    first, second = fixed_trials(sweep)[:2]
    assert live.start(first, first.key, 1) == "beta=1 seed=0"
    live.start(second, second.key, 1)
    live.advance(first.key, rows(1, 5))
    file = io.StringIO()
    console = Console(width=100, height=30, force_terminal=True, color_system=None, file=file)
    console.print(Display(LiveTable(live, lambda *_: cells_of(live)), console)._picture())
    lines = {line.split("  ")[0]: line for line in file.getvalue().splitlines()}
    assert "5/10" in lines["beta=1 seed=0"]
    assert "fosc 0.50" in lines["beta=1 seed=0"]
    # without colours, rich draws only the finished part of a bar: half of 20 columns
    assert (lines["beta=1 seed=0"].count("━"), lines["beta=2 seed=0"].count("━")) == (10, 0)


def test_a_log_gets_one_short_line_however_many_trials_run(many: LiveState) -> None:
    line = log_line(many.progress())
    assert line.startswith("120 of 400 trials done, 200 running (10 to 90 % of their epochs), ")
    assert len(line) < 120


def test_a_log_of_days_speaks_less_often_than_one_of_minutes() -> None:
    assert (heartbeat_s(60), heartbeat_s(3600), heartbeat_s(3 * 86400)) == (15, 72, 300)


def test_the_table_is_made_again_as_often_as_is_cheap(many: LiveState) -> None:
    made: list[float] = []

    def slow(records: object, progress: object) -> ProgressTable:
        made.append(time.monotonic())
        time.sleep(0.02)
        return cells_of(many)

    table = LiveTable(many, slow)
    ends = time.monotonic() + 0.5
    while time.monotonic() < ends:
        table()
    assert len(made) == 1, "20 ms of work are due again after a second"
    table(fresh=True)
    assert len(made) == 2


def test_thousands_of_records_are_kept_without_their_traces(make_sweep: Callable[..., Sweep]) -> None:
    sweep = sweep_of(cells=1, seeds=2)
    trials = fixed_trials(sweep)
    live = LiveState(sweep, {trials[0].key: record_of(trials[0])}, trials[1:])
    live.start(trials[1], trials[1].key, 1)
    live.finish(record_of(trials[1]))
    assert [record.trace for record in live.finished] == [[], []]
    assert live.finished[0].cell is live.finished[1].cell


def test_lost_attempts_and_those_of_earlier_drivers_cost_until_the_record_contains_them() -> None:
    sweep = sweep_of(1, 2)
    one, two = fixed_trials(sweep)
    live = LiveState(sweep, {}, [one, two], earlier={one.key: Attempts(number=3, device_seconds=100.0)})
    assert live.device_seconds == live.progress().device_seconds == 100.0
    live.start(one, one.key, 1)
    live.advance(one.key, rows(3, 4, seconds=7.0))
    live.start(one, one.key, 2)
    live.advance(one.key, rows(3, 3, seconds=7.0))
    assert live.device_seconds == 121.0
    assert [(trial.attempt, trial.device_seconds) for trial in live.progress().running] == [(5, 121.0)]
    live.finish(record_of(one, seconds=150.0))
    assert live.device_seconds == 150.0


def test_set_up_verdict_and_lost_attempts_cost_from_their_begin_on(clock: Clock) -> None:
    sweep = sweep_of(cells=1, seeds=1)
    (trial,) = fixed_trials(sweep)
    live = LiveState(sweep, {}, [trial], price=1.0)
    live.start(trial, trial.key, 1, device_share=0.5)
    clock.now += 500  # It waits for its place.
    live.locate(trial.key, "node", 1)
    clock.now += 100  # It loads its data.
    live.advance(trial.key, rows(1, 1, seconds=60.0))
    clock.now += 40
    live.end(trial.key)
    clock.now += 1000  # It waits for another node.
    assert live.device_seconds == 0.5 * 140
    live.start(trial, trial.key, 2, device_share=0.5)
    live.locate(trial.key, "other", 2)
    clock.now += 60
    assert live.device_seconds == 0.5 * 200
    (running,) = live.progress().running
    assert (running.attempt, running.device_seconds, running.lost_device_seconds) == (2, 0.5 * 200, 0.5 * 40)
    assert live.attempts(trial.key) == Attempts(number=2, device_seconds=0.5 * 200)
    shown = live.progress()
    assert (shown.restarts, shown.lost_device_seconds) == (1, 0.5 * 40)
    live.finish(record_of(trial, seconds=3600.0).model_copy(update={"attempts": 3, "lost_device_seconds": 360.0}))
    assert cost_line(live.progress()).startswith(
        "1.00 device-hours so far of about 1.00, 0.10 lost by 2 restarts; cost"
    )
    crashed = live.progress().model_copy(update={"restarts": 0})
    assert cost_line(crashed).startswith("1.00 device-hours so far of about 1.00, 0.10 lost; cost")


def test_a_group_costs_from_the_moment_its_workers_have_started(clock: Clock) -> None:
    cell = Cell.from_flat({"beta": 1, "epochs": EPOCHS, "workers": 2})
    sweep = Sweep(name="s", preset="none", entries=(SeededCell(cell=cell, seeds=1),), protocol=ProtocolOptions())
    (trial,) = fixed_trials(sweep)
    live = LiveState(sweep, {}, [trial])
    live.start(trial, trial.key, 1)
    live.locate(trial.key, "head", 1)
    clock.now += 300  # Its second worker waits for a node.
    assert live.device_seconds == 0
    live.place(trial.key, ("a", "b"))
    clock.now += 10
    assert live.device_seconds == 20


def test_a_crashed_trial_that_an_adaptive_sweep_starts_again_counts_once(clock: Clock) -> None:
    """An adaptive sweep does not know in advance which of the crashed trials it will train again."""
    sweep = sweep_of(cells=1, seeds=2)
    again, never = (trial.model_copy(update={"allocation": "adaptive"}) for trial in fixed_trials(sweep))
    crashed = {"attempts": 3, "lost_device_seconds": 100.0, "verdict": censor("crashed: a node went away")}
    records = {trial.key: record_of(trial, seconds=100.0).model_copy(update=crashed) for trial in (again, never)}
    live = LiveState(sweep, records, None)
    shown = live.progress()
    assert (shown.done, shown.censored, shown.restarts) == (2, 2, 4)
    assert (shown.device_seconds, shown.lost_device_seconds) == (200.0, 200.0)
    live.start(again, again.key, 1)
    live.locate(again.key, "node", 1)
    clock.now += 50
    shown = live.progress()
    assert (shown.done, shown.censored, shown.restarts) == (1, 1, 5), "its third restart"
    assert (shown.device_seconds, shown.lost_device_seconds) == (250.0, 200.0)
    assert [(trial.attempt, trial.device_seconds) for trial in shown.running] == [(4, 150.0)]
    assert [record.key for record in live.finished] == [never.key]
    live.finish(record_of(again, seconds=160.0).model_copy(update={"attempts": 4, "lost_device_seconds": 100.0}))
    shown = live.progress()
    assert (shown.done, shown.censored, shown.restarts) == (2, 1, 5)
    assert (shown.device_seconds, shown.lost_device_seconds) == (260.0, 200.0)


def test_a_crashed_trial_whose_process_dies_before_it_has_started_counts_once(clock: Clock) -> None:
    sweep = sweep_of(cells=1, seeds=1)
    (trial,) = fixed_trials(sweep)
    crashed = {"attempts": 3, "lost_device_seconds": 100.0, "verdict": censor("crashed: a node went away")}
    live = LiveState(sweep, {trial.key: record_of(trial, seconds=100.0).model_copy(update=crashed)}, None)
    assert live.ended == set()
    live.finish(record_of(trial, seconds=110.0).model_copy(update={**crashed, "attempts": 4}))
    shown = live.progress()
    assert (shown.done, shown.censored, shown.restarts, shown.device_seconds) == (1, 1, 3, 110.0)
    assert live.ended == {trial.key}
