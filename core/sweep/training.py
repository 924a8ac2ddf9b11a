"""The part of a sweep's driver that needs a Ray cluster: it trains the open trials with Ray Tune."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.stopper import CombinedStopper
from rich.console import Console

from core.allocation import AllocationGoal, SeedAllocator, ever_unstable
from core.allocation.certainty import IntervalOf
from core.cluster.capacity import capacity, fitting_trials
from core.cluster.connect import check_gpu_models, with_gpus_of_cluster
from core.cluster.data_memory import check_data_fits
from core.cluster.join import join_cluster
from core.cluster.joined_nodes import JoinedNodes
from core.cluster.key_server import KeyServer
from core.config import RunOptions, Sweep, Trial
from core.config.default_paths import data_root
from core.ledger.ledger import DamagedRecordError, Ledger, unfinished
from core.quantity import quantity
from core.records import TrialRecord
from core.source import git_commit
from core.storage import Lease, StoreError
from core.storage.hidden_keys import HiddenKeys
from core.storage.role import Role
from core.sweep.allocating_searcher import AllocatingSearcher
from core.sweep.budget import Budget
from core.sweep.callback import Backstop, SweepCallback
from core.sweep.concurrency import Concurrency
from core.sweep.crash_handler import CrashHandler
from core.sweep.halt import Halt
from core.sweep.live_state import LiveState
from core.sweep.live_table import LiveTable
from core.sweep.output import Output
from core.sweep.placement_watch import PlacementWatch
from core.sweep.publisher import Publisher
from core.sweep.ray_metrics import RayMetrics
from core.sweep.terminal import Display
from core.sweep.trainable import trial_resources
from core.sweep.trial_plan import continued_allocator, fixed_trials, make_trial
from core.sweep.trial_queue import TrialQueue
from core.sweep.trial_rights import trial_rights
from core.sweep.watchdog import Watchdog
from core.sweep.worker import WorkerTask
from core.tracking import SweepTracker


@dataclass(frozen=True)
class Adaptive:
    """Adaptive allocation of seeds to cells.

    Attributes:
        goal: the certainty to reach, and the budget.
        interval: (unstable, finished) -> (low, high); the intervals must cover simultaneously over all looks.
    """

    goal: AllocationGoal
    interval: IntervalOf


class Training:
    """The part of a run that needs a Ray cluster."""

    def __init__(
        self,
        sweep: Sweep,
        run: RunOptions,
        storage: str,
        ledger: Ledger,
        records: Mapping[str, TrialRecord],
        scratch: Path,
        adaptive: Adaptive | None,
        max_device_hours: float | None,
        trainable: Callable[[dict[str, Any]], None],
        lease: Lease,
        role: Role | None,
        keys: HiddenKeys,
    ) -> None:
        self.keys = keys
        self.trainable, self.storage, self.lease = trainable, storage, lease
        self.key_server = KeyServer(role) if role else None
        self.sweep, self.options, self.ledger, self.scratch = sweep, run, ledger, scratch
        self.commit = git_commit()
        self.allocator: SeedAllocator | None = None
        if adaptive:
            self.allocator = continued_allocator(sweep, adaptive.goal, adaptive.interval, records.values())
        self._goal = adaptive.goal if adaptive else None
        self.halt = Halt()
        self.pending = [] if adaptive else unfinished(fixed_trials(sweep), records)
        repeated = {trial.key for trial in self.pending}
        finished = {key: record for key, record in records.items() if key not in repeated}
        earlier = ledger.attempts_at_open_trials(finished)
        self.live = LiveState(sweep, finished, None if adaptive else self.pending, run.price, earlier)
        self.budget = Budget(self.live, max_device_hours, self.halt)
        if self.pending or self.allocator:
            self.budget.look()
        self._workers = max(entry.cell.training.workers for entry in sweep.entries)
        self._limit: int | None = None
        self._joined_nodes: JoinedNodes | None = None

    @property
    def open(self) -> bool:
        """Whether there may be trials to train."""
        return bool(self.pending or self.allocator) and not self.halt.stop

    def join(self, console: Console) -> None:
        """Connect to the cluster if there may be trials to train, and check that it can train them.

        Raises:
            ValueError: the cluster cannot be used, or lacks what the options ask for.
        """
        if not self.open:
            return
        nodes = join_cluster(self.options.address, self.ledger.store, console, self.key_server)
        cells = [entry.cell for entry in self.sweep.entries]
        self.options = with_gpus_of_cluster(self.options, cells)
        check_gpu_models(self.options, (cell.training.precision for cell in cells))
        fitting = fitting_trials(self.options, self._workers)
        check_data_fits((cell.data for cell in cells), self.options)
        # No node joins a cluster that the driver has started for itself.
        self._limit = self.options.max_concurrent if nodes else fitting
        self._joined_nodes = JoinedNodes(nodes) if nodes else None

    def run(self, tracker: SweepTracker, output: Output) -> bool:
        """Train the open trials on the cluster that `join` has connected to; return True if it was interrupted.

        The sweep's description is stored only when training can start.
        """
        self._enter()
        if not self.open:
            return False
        table = LiveTable(self.live, output.tabulate)
        with Display(table, output.console) as display:
            interrupted = self._tune(tracker, display, table)
        for key in self.live.running:
            tracker.interrupt_trial(key)
        return interrupted

    def leave(self) -> None:
        """Leave the cluster, if `join` has joined one."""
        if self.key_server:
            self.key_server.close()
        ray.shutdown()

    def unfinished(self, records: Sequence[TrialRecord]) -> list[str]:
        """Sorted keys of the trials of this run that have no record or crashed.

        Args:
            records: the stored records of all trials that have ended.
        """
        by_key = {record.key: record for record in records}
        missing = {trial.key for trial in unfinished(self.pending, by_key)} | self.live.running.keys()
        return sorted((missing | self._crashed()) - _with_result(records))

    def delete_crashes(self, records: Sequence[TrialRecord]) -> None:
        """Delete the crashes of this run whose trials have a result by now. Their processes were only slow.

        Args:
            records: the stored records of all trials that have ended.
        """
        for key in self._crashed() & _with_result(records):
            with suppress(StoreError):  # Beside a result a crash means nothing.
                self.ledger.delete_crash(key)

    def _crashed(self) -> set[str]:
        """Keys of the trials that have crashed in this run."""
        return {record.key for record in self.live.finished if record.crashed} & self.live.ended

    def _enter(self) -> None:
        self.ledger.enter(self.sweep, self._goal)

    def _tune(self, tracker: SweepTracker, display: Display, table: LiveTable) -> bool:
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            metrics = RayMetrics(self.sweep.name)
            with Publisher(table, self.ledger, tracker, metrics):
                self.keys.hide()
                self._tuner(tracker, display, metrics).fit()
                if self.halt.stop:
                    self.live.stopped_because = self.halt.stop.sentence
        except KeyboardInterrupt:
            return True
        except tune.TuneError as error:
            # A callback raised the error, and Tune replaced it.
            if isinstance(error.__context__, StoreError | DamagedRecordError):
                raise error.__context__ from None
            raise
        finally:
            signal.signal(signal.SIGINT, on_interrupt)  # Tune's handler remains otherwise and ignores the next Ctrl-C
            self.keys.show()
            self.leave()
        return not self.halt.stop and bool(self.live.running or self.live.waiting)

    def _tuner(self, tracker: SweepTracker, display: Display, metrics: RayMetrics) -> tune.Tuner:
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        allocator = self.allocator
        searcher = (
            AllocatingSearcher(allocator, self._allocated, self._result)
            if allocator
            else TrialQueue({"run": self._config(trial)} for trial in self.pending)
        )
        concurrency = Concurrency(searcher, lambda: capacity(self.options, self._workers), self._limit)
        planned = "As many trials as the goal needs" if allocator else f"{quantity(len(self.pending), 'trial')} to run"
        display.say(f"{planned}, {concurrency.line}")
        crashes = CrashHandler(self.live, self.options, self.halt)

        def has_room() -> bool:
            fitting = capacity(self.options, self._workers, without=crashes.avoided).now
            return concurrency.has_room(self.live.placed, fitting)

        callback = SweepCallback(
            ledger=self.ledger,
            tracker=tracker,
            live=self.live,
            display=display,
            metrics=metrics,
            watchdog=Watchdog(self.live, float(self.options.silence_s), lambda: self.lease.suspended),
            concurrency=concurrency,
            joined_nodes=self._joined_nodes,
            placements=PlacementWatch(has_room),
            crashes=crashes,
            budget=self.budget,
            protocol=self.sweep.protocol.model_dump(mode="json"),
            commit=self.commit,
        )
        return tune.Tuner(
            tune.with_resources(self.trainable, trial_resources),
            tune_config=tune.TuneConfig(
                search_alg=concurrency.limiter,
                num_samples=-1,
                # A reused actor would keep the workers of a group that was stopped.
                reuse_actors=all(entry.cell.training.workers == 1 for entry in self.sweep.entries),
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(self.scratch),
                verbose=0,
                stop=CombinedStopper(Backstop(), self.halt),
                failure_config=tune.FailureConfig(max_failures=self.options.max_failures),
                callbacks=[callback, _KeysShown(self.keys)],
            ),
        )

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher, which refers to methods of this object, for a restore, but a sweep is continued
        # from its ledger.
        return {}

    def _allocated(self, cell: int, seed: int) -> dict[str, Any]:
        return {"run": self._config(self._adaptive_trial(cell, seed))}

    def _adaptive_trial(self, cell: int, seed: int) -> Trial:
        return make_trial(self.sweep, self.sweep.entries[cell].cell, seed, allocation="adaptive")

    def _result(self, cell: int, seed: int) -> tuple[bool | None, float] | None:
        record = self.ledger.record(self._adaptive_trial(cell, seed).key)
        return None if record is None else (ever_unstable(record), record.device_seconds)

    def _config(self, trial: Trial) -> dict[str, Any]:
        options = self.options
        self.ledger.delete_crash(trial.key)
        task = WorkerTask(
            trial=trial.model_dump(mode="json"),
            protocol=self.sweep.protocol.model_dump(mode="json"),
            sweep=self.sweep.name,
            storage=self.storage,
            sweep_store=self.ledger.store.root,
            store=self.ledger.trial_store(trial.key).root,
            fence=asdict(self.lease.fence),
            grant=self._grant(trial),
            patience_s=60 * float(options.wait_for_servers),
            data_dir=data_root(options.data_dir),
            commit=self.commit,
            plugins=[asdict(plugin) for plugin in trial.cell.plugins],
            checkpoint_s=float(options.checkpoint_s),
            device_share=float(options.gpus_per_worker or 1),
            timeout_s=None if options.trial_timeout_s is None else float(options.trial_timeout_s),
        )
        return {
            "task": task,
            "workers": trial.cell.training.workers,
            "cpus": options.cpus_per_worker,
            "gpus": options.gpus_per_worker,
            "scratch": str(self.scratch),
        }

    def _grant(self, trial: Trial) -> dict[str, Any] | None:
        if self.key_server is None:
            return None
        rights = trial_rights(trial, self.sweep.name, self.storage, data_root(self.options.data_dir))
        return asdict(self.key_server.grant(rights))


class _KeysShown(tune.Callback):
    """Shows the driver's keys again as soon as Tune has copied the environment, which it does once."""

    def __init__(self, keys: HiddenKeys) -> None:
        self._keys = keys

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._keys.show()


def _with_result(records: Sequence[TrialRecord]) -> set[str]:
    """Keys of the trials that have ended and did not crash."""
    return {record.key for record in records if not record.crashed}
