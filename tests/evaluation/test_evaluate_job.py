"""The evaluation command, started like by a user."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from mlflow import MlflowClient
from rich.console import Console

from core.config import ProtocolOptions, RunOptions
from core.evaluation import driver
from core.evaluation.options import EvaluationOptions
from core.evaluation.target import Planner, Target
from core.evaluation.task import BlockTask, evaluate_block
from core.ledger.driver_lock import driver_lock
from core.ledger.ledger import Ledger
from core.records import Evidence, Measurement, RunningTrial, TrialRecord
from core.storage import Store, lease
from jobs.evaluate import main
from tests.servers import ObjectStore
from tests.servers.proxy import AWAY, PASS, proxy
from tests.stored_sweeps import interrupted

from .conftest import TinySweep

QUICK = {"images": 60, "block": 16, "steps": 5, "restarts": 1, "queries": 40, "seed": 3}


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "give either --sweep NAME or --checkpoint PATH"),
        (["--sweep", "tiny", "--checkpoint", "x.pt"], "give either --sweep NAME or --checkpoint PATH"),
        (["--sweep", "nix"], "--sweep nix: there is no such sweep in .*; known are tiny"),
        (
            ["--sweep", "tiny", "--worker-role", "arn:aws:iam::1:role/x"],
            "--worker-role .*: has no effect without an s3",
        ),
        (["--sweep", "tiny", "--which", "best"], "--which best: must be selected, gated or last"),
        (["--sweep", "tiny", "--images", "9999"], "--images 9999: the test set of digits has 360"),
        (["--sweep", "tiny", "--images", "0"], "--images 0: must be at least 1"),
        (["--sweep", "tiny", "--mode", "rand"], "--mode rand: must be individual"),
        (["--sweep", "tiny", "--attacks", "best"], "--attacks best: attack 'best' is unknown; allowed: fgsm"),
        (["--sweep", "tiny", "--mlflow-uri", "ftp://x"], "--mlflow-uri 'ftp://x' is not a store"),
        (["--checkpoint", "nowhere.pt"], "--checkpoint nowhere.pt: there is no such file"),
        (["--checkpoint", "file:///nowhere.pt"], "file:// is not a store"),
        (["--checkpoint", __file__], "test_evaluate_job.py is not a checkpoint"),
    ],
)
def test_bad_input_is_one_clear_line(
    trained: TinySweep, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    storage = ["--storage", trained.storage]
    assert main([*flags, *storage]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert re.search(message, error), error


def test_no_such_checkpoint_and_no_such_option(trained: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sweep", "tiny", "--retsarts", "3"]) == 2
    assert "--retsarts" in capsys.readouterr().err


def test_the_help_says_what_options_mean_for_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help", "cluster"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "(default: 1 if the cluster has GPUs, else 0)" in shown
    assert "number of blocks of images that are attacked or measured at once" in shown
    assert "trials" not in shown
    assert "DDP" not in shown


def test_results_that_another_evaluation_has_stored_meanwhile_stay(
    trained: TinySweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one ends between this one's first look at the records and its lease."""
    shutil.copytree(trained.storage, tmp_path / "results")
    ledger = Ledger(Store(str(tmp_path / "results")).child("tiny"), "tiny")
    key = trained.records[0].key

    def measured(attack: str) -> tuple[Measurement, ...]:
        return (Measurement(attack=attack, accuracy=0.5, images=20, split="test"),)

    def lock_late(store: Store, name: str, patience_s: float) -> Any:
        record = trained.records[0]
        found = Evidence(checkpoint="last", epoch=record.epochs_run, measurements=measured("square-1000"))
        ledger.write_evaluations(record.model_copy(update={"evaluations": (found,)}))
        return driver_lock(store, name, patience_s)

    def run_here(store: Store, targets: list[Target], *others: Any) -> bool:
        keep = others[-1]
        keep(next(target for target in targets if target.trial == key), measured("fgsm"))
        return False

    monkeypatch.setattr(driver, "driver_lock", lock_late)
    monkeypatch.setattr(driver, "run_targets", run_here)
    evaluate(str(tmp_path / "results"), tmp_path)
    stored = ledger.record(key)
    assert stored is not None
    assert {e.measurements[0].attack for e in stored.evaluations} == {"square-1000", "fgsm"}


def evaluate(storage: str, folder: Path, tables: list[list[TrialRecord]] | None = None) -> driver.EvaluationResult:
    """Evaluate the selected checkpoints of the sweep ``tiny``, and add the trials of its table to ``tables``."""

    def tabulated(trials: Sequence[TrialRecord]) -> str:
        if tables is not None:
            tables.append([*trials])
        return ""

    return driver.evaluate_sweep(
        "tiny",
        EvaluationOptions.model_validate({**QUICK, "which": ("selected",)}),
        RunOptions(),
        storage=storage,
        mlflow_uri=f"sqlite:///{folder}/mlflow.db",
        console=Console(quiet=True),
        markdown=tabulated,
        summary=lambda _: "",
    )


def test_a_trial_that_ends_before_the_evaluation_has_its_lease_is_listed_once(
    trained: TinySweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs at the first look, so that it is not evaluated yet, and is finished when the table is made."""
    shutil.copytree(trained.storage, tmp_path / "results")
    ledger = Ledger(Store(str(tmp_path / "results")).child("tiny"), "tiny")
    ended, running = trained.records
    file = tmp_path / "results" / "tiny" / "trials" / running.key / "record.json"
    content = file.read_bytes()
    file.unlink()
    now = {"cell_id": running.cell_id, "seed": running.seed, "attempt": 1, "epoch": 1, "epochs": 2, "silent_s": 0}
    shown = RunningTrial(key=running.key, **now)
    told = {"sweep": "tiny", "state": "running", "started_at": time.time(), "written_at": time.time()}
    ledger.write_progress(interrupted(running=(shown,), pending={}, **told))
    lists: list[list[str]] = []

    def lock_late(store: Store, name: str, patience_s: float) -> Any:
        file.write_bytes(content)
        return driver_lock(store, name, patience_s)

    def run_nothing(store: Store, targets: list[Target], *others: Any) -> bool:
        lists.append([target.trial for target in targets])
        return False

    monkeypatch.setattr(driver, "driver_lock", lock_late)
    monkeypatch.setattr(driver, "run_targets", run_nothing)
    tables: list[list[TrialRecord]] = []
    result = evaluate(str(tmp_path / "results"), tmp_path, tables)
    assert lists == [[ended.key]]
    for trials in (result.trials, *tables):
        assert sorted((r.key, r.status) for r in trials) == sorted((r.key, "finished") for r in trained.records)


REFRESH_S, SUSPEND_S, STALE_S, WATCH_S = 0.3, 1.2, 2.5, 0.1


@pytest.mark.slow
@pytest.mark.server
def test_an_evaluation_keeps_its_lease_through_an_outage_and_stores_what_ended_in_it(
    trained: TinySweep,
    tmp_path: Path,
    object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The outage lasts longer than the lease and less than the patience, both scaled down."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    for limit in ("REFRESH_S", "SUSPEND_S", "STALE_S", "WATCH_S"):
        monkeypatch.setattr(lease, limit, globals()[limit])
    monkeypatch.setattr(driver, "OUTAGE_S", 60.0)
    bucket = object_store.make_bucket()
    for path in filter(Path.is_file, Path(trained.storage).rglob("*")):
        Store(f"s3://{bucket}").write(f"results/{path.relative_to(trained.storage)}", path.read_bytes())
    away = threading.Event()
    key = trained.records[0].key

    def cut_off(store: Store, targets: list[Target], *others: Any) -> bool:
        away.set()
        back = threading.Timer(2 * STALE_S, away.clear)
        back.start()
        time.sleep(2 * SUSPEND_S)
        others[-1](
            next(t for t in targets if t.trial == key),
            (Measurement(attack="fgsm", accuracy=0.5, images=20, split="test"),),
        )
        back.join()
        return False

    monkeypatch.setattr(driver, "run_targets", cut_off)
    with proxy(object_store, lambda method, path: AWAY if away.is_set() else PASS) as endpoint:
        result = evaluate(f"s3://{bucket}/results?endpoint={endpoint}", tmp_path)
    assert not result.interrupted
    assert "The storage does not answer" in capsys.readouterr().out
    stored = Ledger(Store(f"s3://{bucket}/results/tiny"), "tiny").record(key)
    assert stored is not None
    assert stored.evaluation("selected", "fgsm") is not None


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("one_thread")
def test_a_sweep_on_ray_equals_blocks_in_sequence(
    trained: TinySweep, elsewhere: Callable[..., BlockTask], tmp_path: Path, evaluate_on_ray: Callable[..., str]
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    arguments = [part for name, value in QUICK.items() for part in (f"--{name}", str(value))]
    arguments += ["--which", "selected", "last", "--storage", trained.storage, "--mlflow-uri", uri]

    printed = evaluate_on_ray(*arguments)
    assert "APGD-DLR" in printed
    assert "0 blocks to evaluate" not in printed
    again = evaluate_on_ray(*arguments)
    assert "0 blocks to evaluate" in again

    planner = Planner(EvaluationOptions.model_validate({**QUICK, "which": ("selected",)}), ".")
    for record in trained.records:
        (target,) = planner.trial_targets(record, "seed=0", trained.ledger.trial_store(record.key), ProtocolOptions())
        blocks = [evaluate_block(elsewhere(task, record.key), "cpu") for task in target.tasks]
        survivors = {name: sum(sum(block[name]) for block in blocks) for name in blocks[0]}
        evaluated = trained.ledger.record(record.key)
        assert evaluated is not None
        found = evaluated.evaluation("selected", "autoattack")
        assert found is not None
        for name, count in survivors.items():
            assert found.accuracy(name) == count / 60, name
        assert found.accuracy("autoattack") <= min(count / 60 for count in survivors.values())
        assert {e.checkpoint for e in evaluated.evaluations} == {"selected", "last"}
        assert evaluated.model_copy(update={"evaluations": ()}) == record

    stored_now = trained.ledger.records()
    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("unmask").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    of_trial = next(run for run in runs if run.data.tags.get("trial_key") == trained.records[0].key)
    evaluation = stored_now[trained.records[0].key].evaluation("selected", "square")
    square = evaluation.measurement("square").label
    assert square.startswith("square-")
    assert of_trial.data.metrics[f"evaluation/selected/{square}_acc"] == evaluation.accuracy("square")
    stored = json.loads(Path(client.download_artifacts(of_trial.info.run_id, "evaluation.json")).read_text())
    assert stored[0]["measurements"][0]["attack"] == "clean"
    assert len(client.get_metric_history(of_trial.info.run_id, f"evaluation/selected/{square}_acc")) == 1
    parent = next(run for run in runs if run.data.tags["role"] == "sweep")
    assert "| AutoAttack |" in Path(client.download_artifacts(parent.info.run_id, "evaluation.md")).read_text()
    gaps = [
        e.accuracy("pgd-10") - e.accuracy("autoattack")
        for r in stored_now.values()
        if (e := r.evaluation("selected", "autoattack"))
    ]
    shown = f"| {100 * fmean(gaps):.1f}" + (f" ± {100 * stdev(gaps):.1f} |" if len(gaps) > 1 else " |")
    description = parent.data.tags["mlflow.note.content"]
    assert "| AA gap |" in description
    assert shown in description
