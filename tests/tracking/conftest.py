from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from core.config import Cell, ProtocolOptions, Trial
from core.config.naming import TrialNames
from core.records import Evidence, Measurement, TrialRecord, Verdict
from core.tracking import SweepTracker, prepare_store
from core.tracking.runs import SweepRuns
from core.tracking.store import EXPERIMENT
from tests.servers.daemon import MissingProgramError
from tests.servers.mlflow_server import MlflowServer

STORED: dict[str, TrialRecord] = {}
"""Records by trial key. Every record that these helpers create is in this store."""


def make_trial(seed: int = 0, **options: object) -> Trial:
    return Trial(cell=Cell.from_flat({"epochs": 6, **options}), seed=seed, pins={"init": 7}, audit=seed == 3)


def make_rows(trial: Trial, last: int, first: int = 1) -> list[dict[str, float | None]]:
    return [
        {
            "epoch": epoch,
            "train/loss": 1 / epoch + trial.seed,
            "val/pgd10_acc": 0.1 * epoch,
            "val/fosc": None if epoch == 2 else 0.3 * epoch,
            "time/train_s": 0.5,
        }
        for epoch in range(first, last + 1)
    ]


def make_record(trial: Trial, outcome: str = "unstable", epochs: int = 6, **changes: object) -> TrialRecord:
    measured = tuple(
        Measurement(attack=attack, accuracy=accuracy, images=400, split="test")
        for attack, accuracy in {"clean": 0.9, "fgsm": 0.7, "pgd-10": 0.5, "pgd-50x5": 0.45, "square": 0.25}.items()
    )
    censored = outcome == "censored"
    verdict = Verdict(
        outcome=outcome,
        onset=True,
        onset_epoch=4,
        onset_epochs=(4,),
        overestimation=None if censored else outcome == "unstable",
        catastrophic=None if censored else False,
        censor_reason="crashed: a worker died" if censored else None,
        evidence=() if censored else (Evidence(checkpoint="selected", epoch=3, measurements=measured),),
    )
    values = {
        "sweep": "demo",
        "cell_id": trial.cell.id,
        "cell": trial.cell.flat(),
        "seed": trial.seed,
        "pins": trial.pins,
        "audit": trial.audit,
        "protocol": ProtocolOptions().model_dump(mode="json"),
        "verdict": verdict,
        "epochs_planned": 6,
        "epochs_run": epochs,
        "stopped_early": epochs < 6,
        "trace": make_rows(trial, epochs),
        "gradients": [{"step": 1, "epoch": 1, "w_norm": 0.25, "ce_norm": None}],
        "device_seconds": 3.5,
        "provenance": {"host": "somewhere", "commit": "abc"},
    }
    record = TrialRecord(**{**values, **changes})
    STORED[record.key] = record
    return record


def runs_of(uri: str, role: str) -> list[Run]:
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], f"tags.role = '{role}'"))


def run_of(uri: str, trial: Trial, of: int = 1) -> Run:
    """The oldest run of the trial, after a check that the trial has ``of`` runs."""
    runs = [run for run in runs_of(uri, "trial") if run.data.tags.get("trial_key") == trial.key]
    assert len(runs) == of
    return min(runs, key=lambda run: run.info.start_time)


def history(uri: str, run: Run, metric: str) -> list[tuple[int, float]]:
    found = MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, metric)
    return sorted((m.step, m.value) for m in found)


def content(uri: str) -> dict[str, object]:
    """The content of the trials' runs that must not depend on crashes: all except ids, times and attempts."""
    client = MlflowClient(tracking_uri=uri)
    return {
        run.data.tags["trial_key"]: (
            run.info.status,
            run.data.params,
            {name: value for name, value in run.data.tags.items() if name != "mlflow.parentRunId"},
            {name: history(uri, run, name) for name in run.data.metrics if name != "val/fosc"},
            len(client.get_metric_history(run.info.run_id, "val/fosc")),
            sorted((file.path, file.file_size) for file in client.list_artifacts(run.info.run_id)),
        )
        for run in runs_of(uri, "trial")
    }


@pytest.fixture(scope="session")
def sample() -> type:
    """The helpers of this file, for tests in other files."""

    class Sample:
        trial = staticmethod(make_trial)
        rows = staticmethod(make_rows)
        record = staticmethod(make_record)
        runs = staticmethod(runs_of)
        run = staticmethod(run_of)
        history = staticmethod(history)
        content = staticmethod(content)

    return Sample


@pytest.fixture
def store(empty_store: bytes, tmp_path: Path) -> str:
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return prepare_store(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def driver() -> Callable[..., SweepTracker]:
    """A function that starts a driver's tracker of sweep ``demo``, some of whose trials may be finished."""

    def start(uri: str, finished: Sequence[TrialRecord] = ()) -> SweepTracker:
        tags = {"commit": "abc", "mlflow.source.git.commit": "abc"}
        runs = SweepRuns(uri, "demo", tags, ProtocolOptions().model_dump(mode="json"), TrialNames([]))
        return SweepTracker(runs, STORED.get, finished, training=True)

    return start


@pytest.fixture
def dead_server() -> str:
    """An address at which no server listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def auth_server(empty_store: bytes, tmp_path: Path) -> Iterator[MlflowServer]:
    """An MLflow server on sqlite that requires a name and a password."""
    (tmp_path / "server.db").write_bytes(empty_store)
    try:
        server = MlflowServer(tmp_path, f"sqlite:///{tmp_path}/server.db", users=f"sqlite:///{tmp_path}/auth.db")
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with server:
        yield server
