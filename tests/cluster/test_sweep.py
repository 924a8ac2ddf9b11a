"""Whole sweeps run by the real job: their results, and that no fault changes the results."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import psutil
import pytest
from mlflow import MlflowClient

from tests.cluster.conftest import JOB, LIMIT_S, TWO_TRIALS, Sweep
from tests.servers.shared_ray import SharedRay
from tests.without_ray import Record

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
LONE_WORKER = "ray::ImplicitFunc"
"""Ray's name of the process of a Tune trial, in which a trial of one worker runs."""
SAYS_IF_INTERRUPTIBLE = """
import signal, sys
from core.sweep import training
from jobs.sweep_trades import main

end = training.ray.shutdown

def look():
    print("interruptible:", signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
    end()

training.ray.shutdown = look
sys.exit(main(sys.argv[1:]))
"""
"""The job, which also prints after training whether Ctrl-C interrupts it."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """The finished sweep `TWO_TRIALS`, which had no fault, on a cluster that its job started."""
    sweep = Sweep(tmp_path_factory.mktemp("finished"))
    sweep.program = ("-c", SAYS_IF_INTERRUPTIBLE)
    sweep.environment["PYTHONPATH"] = str(JOB.parents[1])
    sweep.run(*TWO_TRIALS)
    yield sweep
    sweep.kill_all()


def test_a_sweep_stores_what_its_trials_give_without_ray(finished: Sweep, undisturbed: dict[str, Record]) -> None:
    assert finished.records("tiny") == undisturbed


def test_sweep_prints_its_table_and_where_to_look(finished: Sweep) -> None:
    assert "/ trials" in finished.text
    assert f"mlflow ui --backend-store-uri sqlite:///{finished.folder}/mlflow.db" in finished.text
    finished.wait_for(lambda: not finished.processes())


def test_mlflow_holds_what_the_records_say(finished: Sweep) -> None:
    client = MlflowClient(f"sqlite:///{finished.folder}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "unmask"]
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags["role"] == "sweep"]
    children = {run.data.tags["trial_key"]: run for run in runs if run.data.tags["role"] == "trial"}
    records = finished.records("tiny")
    assert children.keys() == records.keys()
    assert len(records) == 2
    assert "unstable" in parent.data.tags["mlflow.note.content"]
    for key, record in records.items():
        run = children[key]
        assert (parent.info.status, run.info.status) == ("FINISHED", "FINISHED")
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["outcome"] == record["verdict"]["outcome"]
        logged = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "val/fosc")}
        assert logged == pytest.approx({row["epoch"]: row["val/fosc"] for row in record["trace"]})


def test_running_again_trains_nothing(finished: Sweep, shared_ray: SharedRay) -> None:
    before = finished.records("tiny")
    again = Sweep(finished.folder)
    again.join(shared_ray)
    assert " starts" not in again.run(*TWO_TRIALS)
    assert finished.records("tiny") == before


def test_killed_worker_and_driver_change_no_record(sweep: Sweep, undisturbed: dict[str, Record]) -> None:
    driver = sweep.start(*TWO_TRIALS)
    trials = sweep.folder / "results" / "tiny" / "trials"
    sweep.wait_for(lambda: any(trials.glob("*/resume.ckpt")))
    sweep.newest(LONE_WORKER).kill()
    driver.kill()
    driver.wait()
    sweep.run(*TWO_TRIALS)
    assert sweep.records("tiny") == undisturbed
    client = MlflowClient(f"sqlite:///{sweep.folder}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("unmask").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED"] * 3


def listening(sweep: Sweep) -> set[str]:
    """Addresses at which processes of a sweep and of its cluster accept connections."""
    found = set()
    for process in sweep.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert found
    return found


def assert_says_what_is_saved(sweep: Sweep) -> None:
    assert "0 trials saved, 1 not finished or crashed" in sweep.text
    assert "--name long" in sweep.text


def test_ctrl_c_says_what_is_saved_and_how_to_continue(sweep: Sweep) -> None:
    driver = sweep.start("--name", "long", "--seeds", "1", "--epochs", "2000")
    trials = sweep.folder / "results" / "long" / "trials"
    sweep.wait_for(lambda: any(trials.glob("*/resume.ckpt")))
    worker = sweep.newest(LONE_WORKER)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=LIMIT_S) == 130, sweep.text
    assert_says_what_is_saved(sweep)
    sweep.wait_for(lambda: not worker.is_running())


def test_the_end_of_a_slurm_job_says_what_is_saved_and_how_to_continue(local_sweep: Sweep) -> None:
    """The signal also reaches the cluster that the driver started."""
    driver = local_sweep.start("--name", "long", "--seeds", "1", "--epochs", "2000")
    trials = local_sweep.folder / "results" / "long" / "trials"
    local_sweep.wait_for(lambda: any(trials.glob("*/resume.ckpt")))
    assert listening(local_sweep) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    os.killpg(driver.pid, signal.SIGTERM)
    assert driver.wait(timeout=LIMIT_S) == 130, local_sweep.text
    assert_says_what_is_saved(local_sweep)
    local_sweep.wait_for(lambda: not local_sweep.processes("ray::"))


def test_ctrl_c_counts_when_training_is_over(finished: Sweep) -> None:
    """Tune leaves a signal handler installed that would ignore the next Ctrl-C."""
    assert "interruptible: True" in finished.text


def test_a_sweep_that_would_mix_experiments_is_refused(finished: Sweep) -> None:
    printed = finished.run("--name", "tiny", "--seeds", "2", "--epochs", "41", "--fosc-threshold", "2", code=2)
    assert "epochs: 40 stored, 41 given" in printed
    assert "protocol fosc_threshold: 1.2 stored, 2.0 given" in printed


def test_a_crashed_trial_is_censored_then_tried_again_and_a_refused_sweep_blocks_no_name(
    sweep: Sweep, undisturbed: dict[str, Record]
) -> None:
    one = ("--name", "tiny", "--seeds", "1", "--epochs", "40")
    refused = sweep.run("--name", "tiny", "--seeds", "1", "--epochs", "7", "--workers", "20", code=2)
    assert "--workers 20" in refused
    assert "the cluster has" in refused
    driver = sweep.start(*one, "--max-failures", "0")
    trials = sweep.folder / "results" / "tiny" / "trials"
    sweep.wait_for(lambda: any(trials.glob("*/resume.ckpt")))
    sweep.newest(LONE_WORKER).kill()
    assert driver.wait(timeout=LIMIT_S) == 3, sweep.text
    (censored,) = sweep.records("tiny").values()
    assert censored["verdict"]["outcome"] == "censored"
    assert "crashed" in censored["verdict"]["censor_reason"]
    assert [len(list(trials.glob(f"*/{name}.json"))) for name in ("crash", "record")] == [1, 0]
    sweep.run(*one)
    assert [len(list(trials.glob(f"*/{name}.json"))) for name in ("crash", "record")] == [0, 1]
    expected = {key: record for key, record in undisturbed.items() if record["seed"] == 0}
    assert sweep.records("tiny") == expected
