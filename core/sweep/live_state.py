"""The current state of a running sweep in the driver's memory."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from core.config import Sweep, Trial
from core.config.naming import TrialNames
from core.engine.attempts import Attempts
from core.records import Row, RunningTrial, SweepProgress, TrialRecord
from core.records.progress import PERIOD_S
from core.sweep.running import Running


class Pending(NamedTuple):
    """A trial that has not started."""

    cell_id: str
    seed: int


class LiveState:
    """Finished, running and waiting trials of a sweep. One thread may read it while another thread changes it.

    Records are kept without their traces, which allows thousands of them in memory.

    Args:
        sweep: the cells, seeds and protocol.
        finished: records that earlier drivers left.
        pending: trials to train; None if seeds are added adaptively.
        price: price of a device-hour.
        earlier: attempts of earlier drivers at trials without a record, by key.
    """

    def __init__(
        self,
        sweep: Sweep,
        finished: Mapping[str, TrialRecord],
        pending: Sequence[Trial] | None,
        price: float | None = None,
        earlier: Mapping[str, Attempts] | None = None,
    ) -> None:
        self.sweep, self.price = sweep, price
        self.cells = {entry.cell.id: entry.cell.flat() for entry in sweep.entries}
        self.names = TrialNames(self.cells.values())
        self.running: dict[str, Running] = {}
        self._protocol = sweep.protocol.model_dump(mode="json")
        self._mutex = threading.RLock()
        self._finished: dict[str, TrialRecord] = {}
        self._censored = 0
        self._device_seconds = 0.0
        self._restarts = 0
        self._lost = 0.0
        self._earlier: defaultdict[str, Attempts] = defaultdict(Attempts, earlier or {})
        """Attempts at trials without a record that do not run."""
        self.ended: set[str] = set()
        """Keys of the trials that have ended in this run."""
        self.stopped_because = ""
        self._costs: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._shares_done: dict[str, float] = defaultdict(float)
        for record in finished.values():
            self._keep(record)
        ids = {id(entry.cell): entry.cell.id for entry in sweep.entries}
        self._pending: dict[str, Pending] | None = None
        if pending is not None:
            cells = ((trial, ids.get(id(trial.cell)) or trial.cell.id) for trial in pending)
            self._pending = {trial.key: Pending(cell, trial.seed) for trial, cell in cells}
        self._started_at, self._clock = time.time(), time.monotonic()
        self._first_start: float | None = None

    def start(self, trial: Trial, key: str, attempt: int, device_share: float = 1.0) -> str:
        """Note that a trial started, and return its name; ``attempt`` counts its starts from 1.

        If an earlier driver left a record of its crash, the record's attempts become those of the running trial.
        """
        cell = trial.cell.id
        name = self.names(self.cells.get(cell) or trial.cell.flat(), trial.seed, _pins(trial))
        with self._mutex:
            if self._pending is not None:
                self._pending.pop(key, None)
            now, earlier, lost, slowest = time.monotonic(), self._earlier.pop(key, Attempts()), 0.0, 0.0
            if ended := self.running.get(key):
                slowest = ended.slowest_s  # An attempt that goes on with the verdict reports no epoch.
                earlier = Attempts(number=ended.attempts, device_seconds=ended.total(now))
                lost = ended.lost + ended.lost_by_end(now)
            elif crashed := self._finished.pop(key, None):
                self._count(crashed, -1)
                earlier = Attempts(number=crashed.attempts, device_seconds=crashed.device_seconds)
                lost = crashed.lost_device_seconds
            self.running[key] = Running(
                trial,
                key,
                name,
                cell,
                attempt,
                slowest_s=slowest,
                device_share=device_share,
                earlier=earlier,
                lost=lost,
            )
            self._first_start = self._first_start or now
        return name

    def end(self, key: str) -> None:
        """Note that the process of a running trial ended without a result. The trial may start again later."""
        with self._mutex:
            if state := self.running.get(key):
                state.ended_at = state.ended_at or time.monotonic()

    def locate(self, key: str, node: str, pid: int, memory_kills: int = 0) -> None:
        """Note the process that runs a trial, and the state of its machine."""
        with self._mutex:
            state = self.running[key]
            state.process, state.reported = (node, pid), time.monotonic()
            if state.trial.cell.training.workers == 1:
                self.place(key, (node,))
            state.memory_kills = memory_kills

    def place(self, key: str, nodes: Sequence[str]) -> None:
        """Note the nodes of a trial's workers, which have started."""
        with self._mutex:
            state = self.running[key]
            state.nodes, state.placed_at = tuple(nodes), state.placed_at or time.monotonic()

    def extend_deadlines(self, seconds: float) -> None:
        """Extend the silence deadline of every running trial by ``seconds``, because the driver itself was stalled."""
        with self._mutex:
            now = time.monotonic()
            for state in self.running.values():
                state.reported = min(now, state.reported + seconds)

    def advance(self, key: str, rows: Sequence[Row]) -> float:
        """Note at least one epoch that a running trial reported, and return the device-seconds of these epochs."""
        with self._mutex:
            state, now = self.running[key], time.monotonic()
            if state.before is None:
                state.before = int(rows[0]["epoch"] or 1) - 1
            if state.row:
                state.slowest_s = max(state.slowest_s, now - state.reported)
            state.row, state.reported, state.advanced_at = rows[-1], now, now
            seconds = sum(row.get(name) or 0.0 for row in rows for name in ("time/train_s", "time/eval_s"))
            seconds *= state.devices
            state.device_seconds += seconds
            return seconds

    def finish(self, record: TrialRecord) -> None:
        """Note that a trial ended with this record."""
        with self._mutex:
            state = self.running.pop(record.key, None)
            self._earlier.pop(record.key, None)  # a record contains the work of all attempts
            self._shares_done[record.cell_id] += 1 - (state.before or 0) / state.epochs if state else 1
            self.ended.add(record.key)
            self._keep(record)

    def attempts(self, key: str) -> Attempts:
        """The attempts at a running trial, as far as this driver knows."""
        with self._mutex:
            if state := self.running.get(key):
                return Attempts(number=state.attempts, device_seconds=state.total(time.monotonic()))
            return Attempts()

    @property
    def waiting(self) -> int | None:
        """Number of trials that have not started; None if seeds are added adaptively."""
        return None if self._pending is None else len(self._pending)

    @property
    def placed(self) -> int:
        """Number of running trials whose workers are known to have started."""
        with self._mutex:
            states = list(self.running.values())
        return sum(bool(state.row or state.trial.cell.training.workers == 1) for state in states)

    @property
    def device_seconds(self) -> float:
        """Device-seconds of all trials so far: of all attempts from their start on, also of earlier drivers."""
        with self._mutex:
            now = time.monotonic()
            running = sum(state.total(now) for state in self.running.values())
            waiting = sum(attempts.device_seconds for attempts in self._earlier.values())
            return self._device_seconds + waiting + running

    @property
    def finished(self) -> list[TrialRecord]:
        """Records of trials that have ended, without their traces."""
        with self._mutex:
            return list(self._finished.values())

    def progress(self) -> SweepProgress:
        """A copy of the current state for displays and for the store."""
        with self._mutex:
            now = time.monotonic()
            pending = None if self._pending is None else Counter(trial.cell_id for trial in self._pending.values())
            next_seeds: dict[str, int] = {}
            for trial in (self._pending or {}).values():
                next_seeds[trial.cell_id] = min(trial.seed, next_seeds.get(trial.cell_id, trial.seed))
            states = list(self.running.values())
            expected = self._expected(pending or {}) if pending is not None else None
            return SweepProgress(
                sweep=self.sweep.name,
                state="running",
                host=platform.node(),
                pid=os.getpid(),
                first_seed=self.sweep.first_seed,
                started_at=self._started_at,
                written_at=self._started_at + now - self._clock,
                period_s=PERIOD_S,
                running=tuple(_shown(state, now, self.sweep.protocol.eval_steps) for state in states),
                pending=pending,
                next_seeds=next_seeds,
                done=len(self._finished),
                censored=self._censored,
                device_seconds=self.device_seconds,
                lost_device_seconds=self._lost + sum(state.lost for state in states),
                restarts=self._restarts + sum(state.attempts - 1 for state in states),
                expected_device_seconds=expected,
                eta_seconds=self._eta(pending, now) if pending is not None else None,
                price=self.price,
                stopped_because=self.stopped_because,
            )

    def _keep(self, record: TrialRecord) -> None:
        shared = {"cell": self.cells.setdefault(record.cell_id, record.cell)}
        if record.protocol == self._protocol:
            shared["protocol"] = self._protocol
        if earlier := self._finished.get(record.key):  # A process may die again before Tune says that it has started.
            self._count(earlier, -1)
        self._finished[record.key] = record.without_traces().model_copy(update=shared)
        self._count(record, 1)

    def _count(self, record: TrialRecord, times: int) -> None:
        """Add a record to the totals, or take it off if ``times`` is -1."""
        self._device_seconds += times * record.device_seconds
        self._lost += times * record.lost_device_seconds
        self._restarts += times * max(record.attempts - 1, 0)
        if record.verdict is not None and record.verdict.outcome == "censored":
            self._censored += times
        else:
            cost = self._costs[record.cell_id]
            cost[0] += times * record.device_seconds
            cost[1] += times

    def _trial_costs(self) -> dict[str, float]:
        """Mean device-seconds of a trial by cell, from finished trials or else from forecasts of running trials."""
        costs = {cell: seconds / count for cell, (seconds, count) in self._costs.items()}
        forecasts: dict[str, list[float]] = defaultdict(list)
        for state in self.running.values():
            if state.cell_id not in costs and (seconds := state.forecast()) is not None:
                forecasts[state.cell_id].append(seconds)
        return costs | {cell: fmean(seconds) for cell, seconds in forecasts.items()}

    def _expected(self, pending: Mapping[str, int]) -> float | None:
        costs = self._trial_costs()
        if not costs:
            return None
        usual = fmean(costs.values())
        now = time.monotonic()
        running = sum(max(s.total(now), costs.get(s.cell_id, usual)) for s in self.running.values())
        waiting = sum(count * costs.get(cell, usual) for cell, count in pending.items())
        return self._device_seconds + running + waiting

    def _eta(self, pending: Mapping[str, int], now: float) -> float | None:
        """Remaining work divided by the pace so far, with trials weighted by the cost of their cell's trials."""
        costs = self._trial_costs()
        usual = fmean(costs.values()) if costs else 0.0
        weights = {cell: costs.get(cell, usual) or 1.0 for cell in self.cells}
        behind = sum(weights[cell] * share for cell, share in self._shares_done.items())
        behind += sum(weights[state.cell_id] * state.share for state in self.running.values())
        left = sum(weights[cell] * count for cell, count in pending.items())
        left += sum(weights[state.cell_id] * (1 - state.epoch / state.epochs) for state in self.running.values())
        if not left:
            return 0.0
        return (now - self._first_start) / behind * left if self._first_start is not None and behind else None


def _pins(trial: Trial) -> dict[str, int]:
    return {str(stream): seed for stream, seed in trial.pins.items()}


def _shown(state: Running, now: float, eval_steps: int) -> RunningTrial:
    shown = {
        "clean": "val/clean_acc",
        # a trace calls the PGD of validation pgd10 for any number of steps
        f"pgd{eval_steps}": "val/pgd10_acc",
        "fosc": "val/fosc",
        "sgcs": "val/sgcs",
    }
    return RunningTrial(
        key=state.key,
        name=state.name,
        cell_id=state.cell_id,
        seed=state.trial.seed,
        pins=_pins(state.trial),
        attempt=state.attempts,
        epoch=state.epoch,
        epochs=state.epochs,
        silent_s=now - state.reported,
        device_seconds=state.total(now),
        lost_device_seconds=state.lost,
        metrics={label: value for label, name in shown.items() if (value := state.row.get(name)) is not None},
    )
