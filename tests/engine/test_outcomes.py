"""The ends of a trial: judged, stopped or censored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.config import Cell
from core.methods import Method
from core.records import TrialRecord

Runner = Callable[..., TrialRecord]

ALARM = {"fosc_threshold": 1e-9, "fosc_grace": 0, "fosc_patience": 1}
CONFIRMED = {**ALARM, "catastrophic_gap": 1e-9, "eval_steps": 20}
"""Options with which the first alarm is confirmed, because accuracy under FGSM exceeds that under PGD."""
UNCONFIRMED = {**ALARM, "catastrophic_gap": 1, "overestimation_gap": 1, "confirm_every": 2}


def alarm_epochs(record: TrialRecord) -> list[int]:
    assert record.verdict is not None
    return [evidence.epoch for evidence in record.verdict.evidence if evidence.checkpoint == "alarm"]


def test_a_confirmed_alarm_stops_the_trial(make_cell: Callable[..., Cell], run: Runner) -> None:
    record = run(make_cell(epochs=4), protocol={**CONFIRMED, "fosc_grace": 1})
    assert record.stopped_early
    assert (record.epochs_run, record.epochs_planned, len(record.trace)) == (2, 4, 2)
    assert alarm_epochs(record) == [2]
    assert record.verdict is not None
    assert record.verdict.outcome == "unstable"
    assert (record.verdict.onset_epoch, record.verdict.confirmed_epoch) == (2, 2)


def test_the_protocols_detector_stops_the_trial_while_foscs_gate_stays(
    make_cell: Callable[..., Cell], run: Runner
) -> None:
    """FOSC never exceeds this threshold. The one-step gap always exceeds -1 and alarms after the grace epochs."""
    fosc_alone = {**CONFIRMED, "fosc_threshold": 1e9, "fosc_grace": 2}
    record = run(make_cell(epochs=4), folder="fosc", protocol=fosc_alone)
    assert (record.stopped_early, alarm_epochs(record)) == (False, [])
    chosen = {**fosc_alone, "detector": "one-step-gap", "detector_threshold": -2}
    record = run(make_cell(epochs=4), folder="chosen", protocol=chosen)
    assert (record.stopped_early, record.epochs_run, alarm_epochs(record)) == (True, 3, [3])
    assert "gated.pt" in record.checkpoints


@pytest.mark.parametrize(("trial", "protocol"), [({"audit": True}, {}), ({}, {"stop": False})])
def test_audited_trials_and_no_stop_run_to_the_end_and_are_measured_once(
    make_cell: Callable[..., Cell], run: Runner, trial: dict[str, Any], protocol: dict[str, Any]
) -> None:
    record = run(make_cell(epochs=4), protocol={**CONFIRMED, **protocol}, **trial)
    assert not record.stopped_early
    assert (record.epochs_run, record.audit) == (4, trial.get("audit", False))
    assert alarm_epochs(record) == [1]
    assert record.verdict is not None
    assert record.verdict.confirmed_epoch == 1


def test_a_healing_trial_is_not_stopped_by_the_alarm_it_answers(make_cell: Callable[..., Cell], run: Runner) -> None:
    record = run(make_cell(epochs=4, heal="fosc"), protocol=CONFIRMED)
    assert not record.stopped_early
    assert record.epochs_run == 4


def test_an_unconfirmed_alarm_is_measured_again_every_few_epochs_and_never_stops(
    make_cell: Callable[..., Cell], run: Runner
) -> None:
    record = run(make_cell(epochs=6), protocol=UNCONFIRMED)
    assert not record.stopped_early
    assert record.epochs_run == 6
    assert alarm_epochs(record) == [1, 3, 5]
    assert record.verdict is not None
    assert record.verdict.outcome == "unstable"  # The alarm is on in the last epoch.
    assert record.verdict.confirmed_epoch is None
    assert not record.verdict.overestimation


def test_an_alarm_in_the_last_epoch_saves_nothing(make_cell: Callable[..., Cell], run: Runner) -> None:
    record = run(make_cell(epochs=3), protocol={**CONFIRMED, "fosc_grace": 2})
    assert (record.epochs_run, record.stopped_early, alarm_epochs(record)) == (3, False, [3])


def test_evidence_names_its_checkpoints_epochs_and_images(make_cell: Callable[..., Cell], run: Runner) -> None:
    record = run(make_cell(epochs=4), protocol={**UNCONFIRMED, "verdict_images": 15})
    assert record.verdict is not None
    accuracy = [row["val/pgd10_acc"] for row in record.trace]
    best = accuracy.index(max(accuracy)) + 1  # type: ignore[type-var]
    found = [(e.checkpoint, e.epoch, m.split, m.images) for e in record.verdict.evidence for m in e.measurements[:1]]
    alarms = [("alarm", epoch, "validation", 15) for epoch in (1, 3)]
    assert found == [*alarms, ("selected", best, "test", 15), ("last", 4, "test", 15)]


@pytest.mark.parametrize("stop", [True, False])
def test_divergence_is_censored(make_cell: Callable[..., Cell], run: Runner, stop: bool) -> None:
    record = run(make_cell(lr=100, norm="none", epochs=5), protocol={"stop": stop})
    assert record.verdict is not None
    assert record.verdict.outcome == "censored"
    assert (record.verdict.censor_reason or "").startswith("diverged: ")
    assert record.verdict.overestimation is None
    assert record.verdict.evidence == ()
    assert not record.stopped_early
    assert record.epochs_run < 5
    assert None in record.trace[-1].values()


def test_weights_that_the_very_last_update_broke_are_censored(
    make_cell: Callable[..., Cell], run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of the only batch is finite. Only validation can detect the weights after its update."""
    monkeypatch.setattr(Method, "learning_rate", lambda method, scheduled: 1e38)
    record = run(make_cell(norm="none", epochs=1, batch_size=61))
    assert record.trace[0]["train/loss"] is not None
    assert record.trace[0]["val/clean_loss"] is None
    assert record.verdict is not None
    assert record.verdict.censor_reason == "diverged: val/clean_loss of epoch 1 is not finite"


def test_timeout_is_censored(make_cell: Callable[..., Cell], run: Runner) -> None:
    record = run(make_cell(), timeout_s=0, protocol=CONFIRMED)
    assert record.verdict is not None
    assert record.verdict.outcome == "censored"
    assert record.verdict.censor_reason == "timeout: 0 s passed in epoch 1"
    assert (record.epochs_run, record.stopped_early) == (1, False)
    assert run(make_cell(), folder="in time", timeout_s=1000).verdict.outcome != "censored"  # type: ignore[union-attr]


def test_cost_is_counted(make_cell: Callable[..., Cell], run: Runner) -> None:
    record = run(make_cell())
    spent = sum((row["time/train_s"] or 0) + (row["time/eval_s"] or 0) for row in record.trace)
    assert spent < record.device_seconds < spent + 20
