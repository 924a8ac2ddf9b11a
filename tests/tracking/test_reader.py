from __future__ import annotations

from collections.abc import Callable

import pytest

from core.config import Cell
from core.tracking import SweepTracker, list_sweeps, read_sweep
from core.tracking.encode import decode_param, encode_param

Driver = Callable[..., SweepTracker]


def test_running_finished_censored_and_interrupted_trials(store: str, driver: Driver, sample: type) -> None:
    finished, censored, running, interrupted, fresh = (sample.trial(seed) for seed in range(5))
    with driver(store) as tracker:
        for trial in (finished, censored, running, interrupted, fresh):
            tracker.start_trial(trial, 1)
        tracker.start_trial(running, 2)
        tracker.log_epochs(running.key, sample.rows(running, 3))
        tracker.finish_trial(sample.record(finished))
        tracker.finish_trial(sample.record(censored, "censored", epochs=2))
        tracker.interrupt_trial(interrupted.key)
    records = {record.seed: record for record in read_sweep(store, "demo")}
    assert len(records) == 5

    for trial, written in ((finished, sample.record(finished)), (censored, sample.record(censored, "censored", 2))):
        read = records[trial.seed]
        assert read.run_id == sample.run(store, trial).info.run_id
        assert read.model_copy(update={"run_id": None}) == written

    read = records[running.seed]
    assert (read.status, read.verdict, read.attempts, read.epochs_run, read.epochs_planned) == (
        "running",
        None,
        2,
        3,
        6,
    )
    assert read.trace == sample.rows(running, 3)
    assert read.cell == running.cell.flat()
    assert Cell.from_flat(read.cell).id == read.cell_id == running.cell.id
    assert read.protocol == sample.record(running).protocol
    assert (read.pins, read.audit, read.key) == (running.pins, running.audit, running.key)
    assert read.device_seconds == 1.5
    assert records[interrupted.seed].status == records[fresh.seed].status == "running"
    assert records[fresh.seed].trace == []
    assert records[3].audit is True


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dataset": "cifar10", "model": "wrn-34-10", "schedule": "step", "milestones": (100, 150), "epochs": 200},
        {"epsilon": "8/255", "compile": True, "heal": "fosc", "awp_radius": 0.005, "precision": "bf16"},
    ],
)
def test_params_give_the_same_cell_back(options: dict) -> None:
    cell = Cell.from_flat(options)
    flat = cell.flat()
    assert {name: decode_param(encode_param(value)) for name, value in flat.items()} == flat


def test_an_unknown_sweep_is_an_error_that_names_the_known_ones(store: str, driver: Driver) -> None:
    with driver(store):
        pass
    assert list_sweeps(store) == ["demo"]
    with pytest.raises(ValueError, match=r"--sweep 'dem' is no sweep .* known are demo"):
        read_sweep(store, "dem")
