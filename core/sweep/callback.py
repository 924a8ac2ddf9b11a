"""The driver's reactions to Tune's events: a trial starts, reports, ends or fails."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial as TuneTrial

from core.cluster.joined_nodes import JoinedNodes
from core.config import ProtocolOptions, Trial
from core.engine.attempts import AttemptFile
from core.ledger.ledger import Ledger
from core.records import Row, TrialRecord
from core.source import package_version
from core.sweep.budget import Budget
from core.sweep.concurrency import Concurrency
from core.sweep.crash_handler import CrashHandler
from core.sweep.failure_count import forget_failures
from core.sweep.live_state import LiveState
from core.sweep.placement_watch import PlacementWatch
from core.sweep.ray_metrics import RayMetrics
from core.sweep.terminal import Display
from core.sweep.watchdog import Watchdog
from core.tracking import SweepTracker
from core.verdict import Detector, build_detector, censor

OVERDUE_REPORTS = 5
"""Number of reports after the decision to stop a trial, above which Tune stops the trial."""


class SweepCallback(Callback):
    """Passes events to the tracker, the live state and the display, and writes records of trials whose workers died."""

    def __init__(
        self,
        ledger: Ledger,
        tracker: SweepTracker,
        live: LiveState,
        display: Display,
        metrics: RayMetrics,
        watchdog: Watchdog,
        concurrency: Concurrency,
        joined_nodes: JoinedNodes | None,
        placements: PlacementWatch,
        crashes: CrashHandler,
        budget: Budget,
        protocol: dict,
        commit: str,
    ) -> None:
        self.ledger, self.tracker, self.live, self.display, self.metrics = ledger, tracker, live, display, metrics
        self.watchdog, self.concurrency, self.placements, self.crashes = watchdog, concurrency, placements, crashes
        self.joined_nodes = joined_nodes
        self.budget, self.protocol, self.commit = budget, protocol, commit
        self.attempts: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._furthest: dict[str, float] = {}
        self._detectors: dict[str, Detector] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks for a restore, but a sweep is continued from its ledger.
        return {}

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        mine = trial_of(trial)
        key = self._keys[trial.trial_id] = mine.key
        attempt = self.attempts[key] = self.attempts.get(key, 0) + 1
        self.tracker.start_trial(mine, attempt)
        name = self.live.start(mine, key, attempt, trial.config["run"]["task"]["device_share"])
        self.metrics.started(attempt)
        self.display.say(f"{name} starts" + (f" (attempt {attempt})" if attempt > 1 else ""))

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        if "node" in result:
            self.live.locate(self._keys[trial.trial_id], result["node"], result["pid"], result["memory_kills"])
        if "nodes" in result:
            self.live.place(self._keys[trial.trial_id], result["nodes"])
        rows = result.get("rows")
        if rows:
            key = self._keys[trial.trial_id]
            if further := rows[-1]["epoch"] > self._furthest.get(key, 0):
                self._watch(key, rows)
                self._furthest[key] = rows[-1]["epoch"]
                forget_failures(trial)
            self.tracker.log_epochs(key, rows)
            self.metrics.reported(len(rows), self.live.advance(key, rows))
            if further:
                self.crashes.progressed(key)

    def _watch(self, key: str, rows: list[Row]) -> None:
        """Note onsets, which the record of a trial must have even if its workers die.

        A detector needs all epochs from the first one, which this driver has seen only if it started the trial.
        """
        if key not in self._furthest and rows[0]["epoch"] == 1:
            self._detectors[key] = build_detector(ProtocolOptions.model_validate(self.protocol))
        if detector := self._detectors.get(key):
            for row in rows:
                epoch = int(row["epoch"] or 0)
                if epoch > self._furthest.get(key, 0):
                    detector.update(epoch, row)

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        for line in self.watchdog.look():
            self.display.say(line)
        if change := self.concurrency.look():
            self.display.say(change)
        for line in self.joined_nodes.look() if self.joined_nodes else ():
            self.display.say(line)
        if reason := self.placements.look():
            self.display.say(reason)
        self.crashes.look()
        self.budget.look()

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        mine = trial_of(trial)
        record = self.ledger.record(mine.key)
        if record and not record.crashed:
            self.crashes.progressed(mine.key)
        self._finish(record or self._censored(mine, "crashed: the trial ended without a record"))

    def on_trial_recover(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._crashed(trial_of(trial).key, trials, trial)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        mine = trial_of(trial)
        self._crashed(mine.key, trials, trial)
        record = self.ledger.record(mine.key)
        if record and not record.crashed:
            self.ledger.delete_leftovers(mine.key)
        self._finish(record or self._censored(mine, f"crashed: {self.crashes.reason(mine.key, trial)}"))

    def _crashed(self, key: str, trials: list[TuneTrial], trial: TuneTrial) -> None:
        """Note a crash.

        Raises:
            DamagedRecordError: the trial has a record that is damaged or belongs to another trial.
        """
        self.ledger.record(key)  # A damaged record ends the sweep here. Otherwise it would end each further attempt.
        self._keys[trial.trial_id] = key  # a process may end before Tune says that its trial has started
        self.live.end(key)
        known = {self._keys[other.trial_id]: other for other in trials if other.trial_id in self._keys}
        for line in self.crashes.crashed(key, trial, known):
            self.display.say(line)

    def _finish(self, record: TrialRecord) -> None:
        self.tracker.finish_trial(record)
        self.live.finish(record)
        self.metrics.ended(record)
        self.display.finished(record)

    def _censored(self, trial: Trial, reason: str) -> TrialRecord:
        state = self.live.running.get(trial.key)
        known = (AttemptFile(self.ledger.trial_store(trial.key), trial.key).read(), self.live.attempts(trial.key))
        spent = max(attempts.device_seconds for attempts in known)
        record = TrialRecord(
            sweep=self.ledger.name,
            **trial.record_fields(),
            protocol=self.protocol,
            verdict=censor(reason, self._detectors.get(trial.key)),
            epochs_run=state.epoch if state else 0,
            attempts=max(1, *(attempts.number for attempts in known)),
            device_seconds=spent,
            lost_device_seconds=spent,
            provenance={"commit": self.commit, "unmask": package_version("unmask")},
        )
        return self.ledger.write(record)


class Backstop(Stopper):
    """Stops a trial that continues to report although its own loop should have ended it.

    The trial's loop ends the trial with a record, whereas a stop by Tune kills it without a record. For this reason
    Tune stops a trial only after `OVERDUE_REPORTS` further reports.
    """

    def __init__(self) -> None:
        self.overdue: dict[str, int] = {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self.overdue[trial_id] = self.overdue.get(trial_id, 0) + bool(result.get("decided"))
        return self.overdue[trial_id] > OVERDUE_REPORTS

    def stop_all(self) -> bool:
        return False


def trial_of(trial: TuneTrial) -> Trial:
    """The sweep's trial that a Tune trial runs."""
    return Trial.model_validate(trial.config["run"]["task"]["trial"])
