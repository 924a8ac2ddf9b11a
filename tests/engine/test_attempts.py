"""The time of an attempt is stored while it runs, and a checkpoint before its verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.config import Cell
from core.engine import attempts as module
from core.engine import trial as trial_module
from core.engine import verdict_measurement
from core.engine.attempts import AttemptClock, AttemptFile, Attempts
from core.engine.filenames import ATTEMPTS, RESUME
from core.engine.trainer import Trainer
from core.engine.trial_context import Cadence
from core.engine.verdict_measurement import VerdictMeasurement
from core.probes import collect_evidence
from core.records import Evidence, TrialRecord
from core.storage import Store
from tests.engine.test_outcomes import CONFIRMED

Runner = Callable[..., TrialRecord]
Reduce = Callable[[TrialRecord], dict[str, Any]]
LONG_S = 600


def stored(folder: Path) -> Attempts:
    """What the trial's file says."""
    content = json.loads((folder / ATTEMPTS).read_text())
    return Attempts(number=content["number"], device_seconds=content["device_seconds"])


def stay_until_counted(folder: Path) -> None:
    """Do nothing until the file counts more time than now, and then die. A SIGKILL leaves what the file has then."""
    before, deadline = stored(folder).device_seconds, time.monotonic() + LONG_S
    while stored(folder).device_seconds <= before:
        assert time.monotonic() < deadline, "the time of this phase is not stored while it passes"
        time.sleep(0.01)
    raise KeyboardInterrupt


def in_set_up(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(trial_module, "fingerprint", lambda images: stay_until_counted(folder))


def in_an_epoch(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(Trainer, "run_epoch", lambda *args, **options: stay_until_counted(folder))


def in_the_verdict(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(VerdictMeasurement, "judge", lambda *args: stay_until_counted(folder))


@pytest.mark.parametrize("die", [in_set_up, in_an_epoch, in_the_verdict])
def test_an_attempt_that_is_killed_anywhere_is_counted_with_its_time(
    make_cell: Callable[..., Cell],
    run: Runner,
    comparable: Reduce,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    die: Callable[[pytest.MonkeyPatch, Path], None],
) -> None:
    whole = run(make_cell(), folder="whole")
    folder = tmp_path / "trial"
    monkeypatch.setattr(module, "WRITE_S", 0.05)
    spent = 0.0
    for number in (1, 2, 3):
        with monkeypatch.context() as patched:
            die(patched, folder)
            with pytest.raises(KeyboardInterrupt):
                run(make_cell())
        found = stored(folder)
        assert found.number == number
        assert found.device_seconds > spent
        spent = found.device_seconds
    record = run(make_cell())
    assert comparable(record) == comparable(whole)
    assert record.attempts == 4
    assert record.device_seconds > spent
    assert 0 < record.lost_device_seconds <= spent
    assert not (folder / ATTEMPTS).exists()


def test_lost_time_is_no_reason_to_end_a_trial(make_cell: Callable[..., Cell], run: Runner, tmp_path: Path) -> None:
    AttemptFile(Store(str(tmp_path / "trial")), make_cell().id + "-1").write(Attempts(number=9, device_seconds=1e6))
    record = run(make_cell(), timeout_s=1e5, began=time.monotonic() - 1e6)
    assert record.verdict is not None
    assert record.verdict.outcome != "censored"
    assert (record.attempts, record.lost_device_seconds) == (10, 1e6)
    assert record.device_seconds > 2e6, "the time of the set-up costs, but is not time of training"
    epochs = sum(row[name] or 0 for row in record.trace for name in ("time/train_s", "time/eval_s"))
    assert record.epoch_device_seconds == pytest.approx(epochs)


def test_counting_all_the_time_changes_no_bit(
    make_cell: Callable[..., Cell], run: Runner, comparable: Reduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(augment="crop-flip", heal="fosc", heal_batches=6)
    whole = run(cell, folder="whole")
    monkeypatch.setattr(module, "WRITE_S", 0.001)
    assert comparable(run(cell, folder="counted")) == comparable(whole)


def test_a_part_of_a_device_counts_as_this_part(tmp_path: Path) -> None:
    file, now = AttemptFile(Store(str(tmp_path)), "k"), time.monotonic()
    file.write(Attempts(number=2, device_seconds=5.0))
    with AttemptClock(file, 0.5, now - 1000) as clock:
        assert file.read().number == 3
        assert 505 <= file.read().device_seconds <= 505 + LONG_S
        assert clock.resume(1, 3.0) == 2.0
        assert clock.resume(7, 700.0) == 0, "the file was lost, and the checkpoint knows more"
        assert clock.attempts.number == 8
        assert clock.attempts.device_seconds >= 1200


def test_an_attempt_that_was_taken_for_dead_does_not_undo_the_next_ones_count(tmp_path: Path) -> None:
    file = AttemptFile(Store(str(tmp_path)), "k")
    file.write(Attempts(number=2, device_seconds=50.0))
    file.replace(Attempts(number=1, device_seconds=60.0))
    assert file.read() == Attempts(number=2, device_seconds=50.0)
    file.replace(Attempts(number=2, device_seconds=70.0))
    assert file.read().device_seconds == 70.0


def test_an_attempt_that_was_taken_for_dead_leaves_no_file_after_the_result_of_the_next_one(tmp_path: Path) -> None:
    taken_for_dead, following = (AttemptFile(Store(str(tmp_path)), "k") for _ in range(2))
    taken_for_dead.write(Attempts(number=1, device_seconds=50.0))
    following.write(Attempts(number=2, device_seconds=60.0))
    following.delete()
    taken_for_dead.replace(Attempts(number=1, device_seconds=70.0))
    assert not (tmp_path / ATTEMPTS).exists()


def test_a_file_that_could_not_be_written_at_first_is_written_later(tmp_path: Path) -> None:
    file = AttemptFile(Store(str(tmp_path)), "k")
    file.replace(Attempts(number=1, device_seconds=70.0))
    assert file.read() == Attempts(number=1, device_seconds=70.0)


@pytest.mark.parametrize("protocol", [{}, {**CONFIRMED, "fosc_grace": 1}])
def test_a_verdict_that_is_killed_costs_no_epoch(
    make_cell: Callable[..., Cell],
    run: Runner,
    comparable: Reduce,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    protocol: dict[str, Any],
) -> None:
    """The trial runs to its last epoch, or an alarm stops it. Only the checkpoint before the verdict is written."""
    seldom = Cadence(report_s=1000, checkpoint_s=1000)
    whole = run(make_cell(epochs=4), folder="whole", protocol=protocol)
    assert whole.stopped_early == bool(protocol)
    seen: list[bool] = []

    def judge(*args: Any) -> None:
        seen.append((tmp_path / "trial" / RESUME).exists())
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(VerdictMeasurement, "judge", judge)
            with pytest.raises(KeyboardInterrupt):
                run(make_cell(epochs=4), protocol=protocol, cadence=seldom)
            # From the second attempt on no epoch is trained.
            monkeypatch.setattr(Trainer, "run_epoch", None)
    assert seen == [True, True]
    assert comparable(run(make_cell(epochs=4), protocol=protocol, cadence=seldom)) == comparable(whole)


def test_a_verdict_that_is_killed_repeats_the_attacks_on_one_checkpoint(
    make_cell: Callable[..., Cell],
    run: Runner,
    comparable: Reduce,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Without a change of the weights all epochs are equally good on any processor, and the first one is selected.
    cell = make_cell(epochs=4, lr=1e-9, norm="none")
    whole = run(cell, folder="whole")
    assert whole.verdict is not None
    epochs = {evidence.epoch for evidence in whole.verdict.evidence}
    assert len(epochs) > 1
    measured: list[int] = []

    def measure(*args: Any, **options: Any) -> Evidence:
        if dies and measured:
            raise KeyboardInterrupt
        measured.append(options["epoch"])
        return collect_evidence(*args, **options)

    monkeypatch.setattr(verdict_measurement, "collect_evidence", measure)
    dies = True
    with pytest.raises(KeyboardInterrupt):
        run(cell)
    dies = False
    record = run(cell)
    assert comparable(record) == comparable(whole)
    assert sorted(measured) == sorted(epochs), "each checkpoint once"
    assert record.attempts == 2
