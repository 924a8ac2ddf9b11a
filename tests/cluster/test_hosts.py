"""A cluster of several hosts: `ray up` over SSH, jobs with a token, a lost host, and a sweep on real servers."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from core.engine.attempts import AttemptFile
from core.storage import Store
from tests.cluster.bucket_results import BucketResults
from tests.cluster.conftest import TINY, TINY_DATA, TWO_TRIALS, Sweep
from tests.hosts.host import DISK
from tests.hosts.launched_cluster import CHECKOUT, LaunchedCluster
from tests.hosts.network import Network, missing
from tests.hosts.ssh import missing_ssh
from tests.plugin_tables import printed_plugin
from tests.servers import MlflowServer, ObjectStore, Postgres
from tests.servers.daemon import MissingProgramError
from tests.servers.fixtures import running_postgres
from tests.without_ray import Record

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
TWO_RANKS = ("--workers", "2", "--cpus-per-worker", str(os.cpu_count()))
"""Options that give each of two ranks a whole host. Each host reports all CPUs of this machine."""
NAME = "ddp"
"""Name of the sweep on S3."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    if reason := missing() or missing_ssh():
        pytest.skip(reason)
    with Network(tmp_path_factory.mktemp("hosts")) as network:
        yield network


@pytest.fixture(scope="module")
def cluster(network: Network) -> LaunchedCluster:
    """A running cluster of three hosts, shared by all tests of this file."""
    cluster = LaunchedCluster(network)
    cluster.up()
    return cluster


@pytest.fixture(scope="module")
def jobs(cluster: LaunchedCluster) -> Iterator[str]:
    """The address to which jobs are submitted."""
    with cluster.dashboard() as address:
        yield address


def submit(
    cluster: LaunchedCluster,
    jobs: str,
    *options: str,
    common: tuple[str, ...] = TINY,
    code: int = 0,
    job: str = "sweep_trades.py",
    **environment: str,
) -> str:
    command = ("python", f"jobs/{job}", *common, *options)
    where = (f"--address={jobs}", f"--working-dir={CHECKOUT}")
    return " ".join(cluster.ray("job", "submit", *where, "--", *command, code=code, env=environment).split())


class Stores:
    """A bucket, an MLflow server on PostgreSQL, and jobs of the cluster that use both.

    Attributes:
        results: results of the sweep in the bucket.
        artifacts: bucket of MLflow's artifacts. Only the MLflow server has its keys.
        printed: outputs of all jobs.
    """

    def __init__(
        self, cluster: LaunchedCluster, jobs: str, server: ObjectStore, mlflow: MlflowServer, artifacts: str
    ) -> None:
        self.cluster, self.jobs, self.server, self.mlflow, self.artifacts = cluster, jobs, server, mlflow, artifacts
        self.results = BucketResults(server, server.make_bucket(), NAME)
        self.printed: list[str] = []

    def submit(self, job: str, *options: str) -> str:
        """Run a job on the cluster, with the servers as its stores, and return its output."""
        stores = ("--storage", self.results.storage, "--mlflow-uri", self.mlflow.uri)
        self.printed.append(submit(self.cluster, self.jobs, *options, *stores, common=(), job=job))
        return self.printed[-1]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """The database of the MLflow server, to which only processes on this machine can connect."""
    yield from running_postgres()


@pytest.fixture(scope="module")
def stores(
    cluster: LaunchedCluster,
    jobs: str,
    network: Network,
    postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stores]:
    """Servers that all hosts reach, and their keys in the home of each host."""
    folder = tmp_path_factory.mktemp("servers")
    try:
        bucket = ObjectStore(folder, host=network.address)
    except MissingProgramError as program:
        pytest.skip(str(program))
    with bucket:
        artifacts = bucket.make_bucket()
        server = MlflowServer(
            folder,
            postgres.uri("mlflow"),
            users=postgres.uri("mlflow_auth"),
            host=network.address,
            artifacts=f"s3://{artifacts}/mlflow",
            environment={**bucket.environment, "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint},
        )
        cluster.give(
            ".mlflow/credentials",
            f"[mlflow]\nmlflow_tracking_username = {server.username}\nmlflow_tracking_password = {server.password}\n",
        )
        cluster.give(
            ".aws/credentials",
            f"[default]\naws_access_key_id = {bucket.access_key}\naws_secret_access_key = {bucket.secret_key}\n",
        )
        with server:
            yield Stores(cluster, jobs, bucket, server, artifacts)


def test_ray_up_starts_all_hosts_and_gives_the_token_to_their_user_only(cluster: LaunchedCluster) -> None:
    cluster.await_alive(cluster.hosts)
    for host in cluster.hosts:
        token = host.disk / "home" / ".unmask" / "ray_token"
        assert token.read_text() == cluster.token.read_text()
        assert token.stat().st_mode & 0o077 == 0


def test_another_token_is_refused(cluster: LaunchedCluster, jobs: str, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text(secrets.token_hex(32))
    refused = submit(cluster, jobs, code=1, RAY_AUTH_TOKEN_PATH=str(wrong))
    assert "Invalid authentication token" in refused
    driver = ("python", str(CHECKOUT / "jobs" / "sweep_trades.py"), "--address", f"{cluster.head.address}:6379")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(wrong), "PYTHONPATH": str(CHECKOUT)}
    started = cluster.head.run(*driver, *TINY, check=False, env=token)
    assert started.returncode == 2
    assert "the cluster asks for its token: set RAY_AUTH_MODE=token" in started.stderr
    assert "Traceback" not in started.stderr


def test_storage_that_hosts_do_not_share_is_refused(cluster: LaunchedCluster, jobs: str) -> None:
    refused = submit(cluster, jobs, "--storage", f"{DISK}/results", "--seeds", "1", code=1)
    assert "has no such files there. --storage must be a folder that all nodes share" in refused


def test_a_host_that_the_cluster_has_given_up_changes_no_record(
    cluster: LaunchedCluster, jobs: str, undisturbed: dict[str, Record], local_sweep: Sweep, tmp_path: Path
) -> None:
    """Its link loses all packets for longer than Ray's limits, while it has the storage.

    Its process goes on when the trial's next attempt has begun, so that two processes train one trial.
    """
    trials = tmp_path / "results" / "tiny" / "trials"
    stores = ("--storage", f"{tmp_path}/results", "--mlflow-uri", f"sqlite:///{tmp_path}/mlflow.db")
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(submit, cluster, jobs, *stores, *TWO_TRIALS)
        local_sweep.wait_for(lambda: job.done() or len(list(trials.glob("*/resume.ckpt"))) == 2)
        lost = next(worker for worker in cluster.workers if worker.processes("ray::ImplicitFunc"))
        lost.cut()
        stalled = lost.processes("ray::ImplicitFunc")
        for process in stalled:
            process.suspend()
        cluster.await_alive([host for host in cluster.hosts if host is not lost])
        attempts = [AttemptFile(Store(str(folder)), folder.name) for folder in trials.iterdir()]
        local_sweep.wait_for(lambda: job.done() or any(file.read().number == 2 for file in attempts))
        for process in stalled:
            process.resume()
        printed = job.result()
    assert "(attempt 2)" in printed
    assert local_sweep.records("tiny") == undisturbed
    lost.heal()
    local_sweep.wait_for(lambda: not lost.processes("ray::ImplicitFunc"))
    assert not list(trials.glob("*/attempts.json"))


def test_a_host_that_comes_back_is_taken_in_again(cluster: LaunchedCluster) -> None:
    cluster.await_alive(cluster.hosts)


def test_ranks_on_two_hosts_with_mlflow_on_postgresql_and_s3(stores: Stores, cluster: LaunchedCluster) -> None:
    """A plug-in travels with the sweep: only the head, where the driver runs, has its file."""
    (cluster.head.disk / "my_method.py").write_text(printed_plugin())
    method = ("--plugin", f"{DISK}/my_method.py", "--method", "squeezing", "--norm", "none")
    stores.submit("sweep_trades.py", *TINY_DATA, "--name", NAME, "--seeds", "1", "--epochs", "3", *TWO_RANKS, *method)
    objects = stores.results.objects()
    assert not [name for name in objects if name.endswith("resume.ckpt") or "probe" in name]
    ((key, record),) = stores.results.records().items()
    assert record["cell"]["method"] == "squeezing"
    assert record["verdict"]["outcome"] != "censored", record["verdict"]
    assert set(record["provenance"]["host"].split(", ")) == {worker.name for worker in cluster.workers}
    for file, sha256 in record["checkpoints"].items():
        assert hashlib.sha256(objects[f"trials/{key}/{file}"]).hexdigest() == sha256


def test_mlflow_has_what_the_bucket_has(
    stores: Stores, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in stores.mlflow.environment.items():
        monkeypatch.setenv(variable, value)
    client = MlflowClient(stores.mlflow.uri)
    experiment = client.get_experiment_by_name("unmask")
    assert experiment is not None
    runs = {run.data.tags["role"]: run for run in client.search_runs([experiment.experiment_id])}
    assert {role: run.info.status for role, run in runs.items()} == {"sweep": "FINISHED", "trial": "FINISHED"}
    assert int(postgres.query("mlflow", "select count(*) from runs")) == 2
    ((key, record),) = stores.results.records().items()
    trial = runs["trial"]
    assert trial.data.tags["trial_key"] == key
    logged = {m.step: m.value for m in client.get_metric_history(trial.info.run_id, "val/fosc")}
    assert logged == pytest.approx({row["epoch"]: row["val/fosc"] for row in record["trace"]})
    artifact = client.download_artifacts(trial.info.run_id, "record.json", str(tmp_path))
    assert json.loads(Path(artifact).read_text())["seed"] == record["seed"]
    kept = stores.server.client().list_objects_v2(Bucket=stores.artifacts)["Contents"]
    assert sum(entry["Key"].endswith("/record.json") for entry in kept) == 1


def test_it_is_evaluated_and_reported_without_mlflow_and_no_file_has_a_secret(
    stores: Stores, cluster: LaunchedCluster, postgres: Postgres
) -> None:
    stores.submit("evaluate.py", "--sweep", NAME, "--attacks", "fgsm", "--images", "20", "--which", "last")
    objects = stores.results.objects()
    assert any(name.endswith("/evaluation.json") for name in objects)
    stores.mlflow.kill()
    reported = stores.submit("report.py", "--sweep", NAME)
    assert "Not logged to MLflow: " in reported
    assert "/ trials" in reported
    files = [
        file for host in cluster.hosts for file in host.disk.rglob("*") if file.is_file() and not file.is_symlink()
    ]
    # Hosts have the credentials in files of their own, and Ray's copy of the checkout contains this project's tests.
    files = [file for file in files if file.name != "credentials" and "working_dir_files" not in file.parts]
    assert any(file.suffix == ".log" and "session_" in str(file) for file in files), "Ray's logs are among the files"
    dump = ["pg_dump", "mlflow"]
    database = subprocess.run(dump, env={**os.environ, **postgres.environment}, capture_output=True, check=True).stdout
    for secret in (stores.server.secret_key, stores.server.access_key, stores.mlflow.password):
        assert not [name for name, content in objects.items() if secret.encode() in content]
        assert not [file for file in files if secret.encode() in file.read_bytes()]
        assert secret.encode() not in database
        assert not [printed for printed in stores.printed if secret in printed]


def test_ray_down_ends_the_head(cluster: LaunchedCluster) -> None:
    cluster.down()
    # The workers notice this and end about a minute later.
    assert not cluster.head.processes("ray")
