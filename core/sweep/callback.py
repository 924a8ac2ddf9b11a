"""The driver's reactions to Tune's events: a trial starts, reports, ends or fails."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial as TuneTrial

from core.cluster.broken_gpus import BrokenGpus
from core.config import ProtocolOptions, Trial
from core.engine.attempts import AttemptFile
from core.ledger.ledger import Ledger
from core.quantity import duration
from core.records import Row, TrialRecord
from core.source import package_version
from core.sweep.live_state import LiveState
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
        protocol: dict,
        commit: str,
    ) -> None:
        self.ledger, self.tracker, self.live, self.display, self.metrics = ledger, tracker, live, display, metrics
        self.watchdog, self.protocol, self.commit = watchdog, protocol, commit
        self.attempts: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._furthest: dict[str, float] = {}
        self._detectors: dict[str, Detector] = {}
        self._broken_gpus = BrokenGpus()

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
            self.live.locate(self._keys[trial.trial_id], result["node"], result["pid"])
        rows = result.get("rows")
        if rows:
            key = self._keys[trial.trial_id]
            if rows[-1]["epoch"] > self._furthest.get(key, 0):
                self._watch(key, rows)
                self._furthest[key] = rows[-1]["epoch"]
                # Tune counts all failures of a trial, and a long trial on preemptible machines has many: progress
                # resets the counter.
                trial.run_metadata.num_failures = 0
            self.tracker.log_epochs(key, rows)
            self.metrics.reported(len(rows), self.live.advance(key, rows))

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

    def on_trial_complete(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        mine = trial_of(trial)
        record = self.ledger.record(mine.key)
        self._finish(record or self._censored(mine, "crashed: the trial ended without a record"))

    def on_trial_recover(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        if line := self._broken_gpus.exclude(_last_failure(trial)):
            self.display.say(line)
            # The node failed, and not the trial.
            trial.run_metadata.num_failures -= 1

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        mine = trial_of(trial)
        self._finish(self.ledger.record(mine.key) or self._censored(mine, f"crashed: {self._reason(mine.key, trial)}"))

    def _finish(self, record: TrialRecord) -> None:
        self.tracker.finish_trial(record)
        self.live.finish(record)
        self.metrics.ended(record)
        self.display.finished(record)

    def _reason(self, key: str, trial: TuneTrial) -> str:
        state = self.live.running.get(key)
        if state and state.silenced_s is not None:
            return f"silent for {duration(state.silenced_s)} in attempt {state.attempt}"
        lines = [line.strip() for line in _last_failure(trial).splitlines() if line.strip()]
        return lines[-1][:300] if lines else "its workers died"

    def _censored(self, trial: Trial, reason: str) -> TrialRecord:
        state = self.live.running.get(trial.key)
        spent = AttemptFile(self.ledger.trial_store(trial.key)).read()
        record = TrialRecord(
            sweep=self.ledger.name,
            **trial.record_fields(),
            protocol=self.protocol,
            verdict=censor(reason, self._detectors.get(trial.key)),
            epochs_run=state.epoch if state else 0,
            attempts=max(spent.number, self.attempts.get(trial.key, 1)),
            device_seconds=spent.device_seconds,
            provenance={"commit": self.commit, "unmask": package_version("unmask")},
        )
        self.ledger.write(record)
        return record


def _last_failure(trial: TuneTrial) -> str:
    """The text of a trial's last failure. Tune collects the texts of all failures in one file."""
    return str(trial.get_error()).rpartition("Failure # ")[2]


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
