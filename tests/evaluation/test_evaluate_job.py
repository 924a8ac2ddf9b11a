"""The evaluation command, started like by a user."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
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
from core.records import Evidence, Measurement
from core.storage import Store
from jobs.evaluate import main

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
    driver.evaluate_sweep(
        "tiny",
        EvaluationOptions.model_validate({**QUICK, "which": ("selected",)}),
        RunOptions(),
        storage=str(tmp_path / "results"),
        mlflow_uri=f"sqlite:///{tmp_path}/mlflow.db",
        console=Console(quiet=True),
        markdown=lambda _: "",
        summary=lambda _: "",
    )
    stored = ledger.record(key)
    assert stored is not None
    assert {e.measurements[0].attack for e in stored.evaluations} == {"square-1000", "fgsm"}


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
