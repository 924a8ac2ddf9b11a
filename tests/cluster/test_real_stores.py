"""A whole sweep on a real S3 server and a real MLflow server on PostgreSQL, both of which require credentials."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.cluster.conftest import LIMIT_S, Sweep
from tests.servers import MlflowServer, ObjectStore, Postgres
from tests.servers.daemon import MissingProgramError

pytestmark = [pytest.mark.cluster, pytest.mark.server, pytest.mark.slow]
JOBS = Path(__file__).parents[2] / "jobs"


class Stores:
    """The command line of a sweep on real stores."""

    def __init__(self, sweep: Sweep, s3: ObjectStore, mlflow: MlflowServer, artifacts: str) -> None:
        self.sweep, self.s3, self.mlflow, self.artifacts = sweep, s3, mlflow, artifacts
        self.bucket = s3.make_bucket()
        self.options = ("--storage", f"s3://{self.bucket}/results", "--mlflow-uri", mlflow.uri)
        sweep.environment |= s3.environment | mlflow.environment | {"HOME": str(sweep.folder)}

    def train(self) -> str:
        """Run a sweep of two small trials and return its output."""
        return self.sweep.run("--name", "tiny", "--seeds", "2", "--epochs", "4", *self.options)

    def job(self, name: str, *options: str) -> str:
        """The output of another command of the project."""
        command = [sys.executable, str(JOBS / name), "--sweep", "tiny", *self.options, *options]
        done = subprocess.run(
            command, cwd=self.sweep.folder, env=self.sweep.environment, capture_output=True, text=True, timeout=LIMIT_S
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def objects(self) -> dict[str, bytes]:
        """All objects of the sweep in the bucket, by key."""
        client = self.s3.client()
        listed = client.list_objects_v2(Bucket=self.bucket)["Contents"]
        start = "results/tiny/"
        assert all(entry["Key"].startswith(start) for entry in listed)
        return {
            entry["Key"][len(start) :]: client.get_object(Bucket=self.bucket, Key=entry["Key"])["Body"].read()
            for entry in listed
        }

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """The stored records by key."""
        found = {name: content for name, content in self.objects.items() if name.endswith("/record.json")}
        return {name.split("/")[1]: json.loads(content) for name, content in found.items()}


@pytest.fixture
def stores(
    local_sweep: Sweep, object_store: ObjectStore, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stores]:
    """Real stores. Only the MLflow server has the keys of the artifact bucket; its clients do not have them."""
    artifacts = object_store.make_bucket()
    try:
        server = MlflowServer(
            tmp_path_factory.mktemp("mlflow"),  # The settings contain the database's password.
            postgres.uri("mlflow"),
            users=postgres.uri("mlflow_auth"),
            artifacts=f"s3://{artifacts}/mlflow",
            environment={**object_store.environment, "MLFLOW_S3_ENDPOINT_URL": object_store.endpoint},
        )
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with server:
        yield Stores(local_sweep, object_store, server, artifacts)


def test_a_sweep_on_s3_and_postgresql_is_whole_everywhere_and_tells_no_secret(
    stores: Stores, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stores.mlflow.environment.items():
        monkeypatch.setenv(name, value)
    stores.train()
    objects, records = stores.objects, stores.records
    assert len(records) == 2
    assert not [name for name in objects if name.endswith("resume.ckpt") or "probe" in name or "reach" in name]
    for key, record in records.items():
        assert len(record["trace"]) == 4
        for file, sha256 in record["checkpoints"].items():
            assert hashlib.sha256(objects[f"trials/{key}/{file}"]).hexdigest() == sha256

    client = MlflowClient(stores.mlflow.uri)
    experiment = client.get_experiment_by_name("unmask")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    children = {run.data.tags["trial_key"]: run for run in runs if run.data.tags["role"] == "trial"}
    assert children.keys() == records.keys()
    assert {run.info.status for run in runs} == {"FINISHED"}
    for key, run in children.items():
        logged = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "val/fosc")}
        assert logged == pytest.approx({row["epoch"]: row["val/fosc"] for row in records[key]["trace"]})
        artifact = client.download_artifacts(run.info.run_id, "record.json", str(tmp_path))
        assert json.loads(Path(artifact).read_text())["seed"] == records[key]["seed"]
    assert int(postgres.query("mlflow", "select count(*) from runs")) == 3
    kept = stores.s3.client().list_objects_v2(Bucket=stores.artifacts)["Contents"]
    assert sum(entry["Key"].endswith("/record.json") for entry in kept) == 2

    assert " starts" not in stores.train()
    evaluated = stores.job("evaluate.py", "--attacks", "fgsm", "--images", "20", "--which", "last")
    assert "evaluation.json" in evaluated
    assert all(f"trials/{key}/evaluation.json" in stores.objects for key in records)

    stores.mlflow.kill()
    from_bucket = stores.job("report.py")
    assert "Not logged to MLflow: " in from_bucket
    assert "/ trials" in from_bucket
    seen = [stores.sweep.text.encode(), evaluated.encode(), from_bucket.encode(), *stores.objects.values()]
    seen += [file.read_bytes() for file in stores.sweep.folder.rglob("*") if file.is_file()]
    database = subprocess.run(
        ["pg_dump", "mlflow"], env={**stores.sweep.environment, **postgres.environment}, capture_output=True, check=True
    ).stdout
    for secret in (stores.s3.secret_key, stores.s3.access_key, stores.mlflow.password):
        assert not any(secret.encode() in content for content in [*seen, database])


def test_wrong_keys_are_one_line_before_anything_starts(local_sweep: Sweep, object_store: ObjectStore) -> None:
    local_sweep.environment |= object_store.environment | {
        "AWS_SECRET_ACCESS_KEY": "wrong",
        "HOME": str(local_sweep.folder),
    }
    storage = f"s3://{object_store.make_bucket()}/results"
    printed = local_sweep.run("--name", "tiny", "--seeds", "1", "--epochs", "2", "--storage", storage, code=2)
    (line,) = [line for line in printed.splitlines() if "error:" in line]
    assert "does not accept the secret key" in line
    assert "Traceback" not in printed
    assert "Starting Ray" not in printed
