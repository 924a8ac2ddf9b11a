"""A cluster of several hosts: `ray up` over SSH, jobs with a token, a lost host, and ranks on two hosts."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.cluster.conftest import TINY, TINY_DATA, Sweep
from tests.hosts.host import DISK
from tests.hosts.launched_cluster import CHECKOUT, LaunchedCluster
from tests.hosts.network import Network, missing
from tests.hosts.ssh import missing_ssh
from tests.plugin_tables import printed_plugin
from tests.servers import MlflowServer, ObjectStore, Postgres
from tests.servers.daemon import MissingProgramError

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
WHOLE_HOST = ("--cpus-per-worker", str(os.cpu_count()))
"""Options that give a rank a whole host. Each host reports all CPUs of this machine."""


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
    **environment: str,
) -> str:
    job = ("python", "jobs/sweep_trades.py", *common, *options)
    where = (f"--address={jobs}", f"--working-dir={CHECKOUT}")
    return " ".join(cluster.ray("job", "submit", *where, "--", *job, code=code, env=environment).split())


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


def test_a_lost_host_changes_no_record(
    cluster: LaunchedCluster, jobs: str, undisturbed: Sweep, local_sweep: Sweep, tmp_path: Path
) -> None:
    trials = tmp_path / "results" / "tiny" / "trials"
    stores = ("--storage", f"{tmp_path}/results", "--mlflow-uri", f"sqlite:///{tmp_path}/mlflow.db")
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(submit, cluster, jobs, *stores, "--name", "tiny", "--seeds", "2", "--epochs", "40")
        local_sweep.wait_for(lambda: job.done() or len(list(trials.glob("*/resume.ckpt"))) == 2)
        lost = next(worker for worker in cluster.workers if worker.processes("ray::ImplicitFunc"))
        lost.kill()
        printed = job.result()
    assert "(attempt 2)" in printed
    assert local_sweep.records("tiny") == undisturbed.records("tiny")
    # The head notices the lost trial at once, but the lost host only after a long silence.
    cluster.await_alive([host for host in cluster.hosts if host is not lost])
    cluster.switch_on(lost)


def test_a_host_that_comes_back_is_taken_in_again(cluster: LaunchedCluster) -> None:
    cluster.await_alive(cluster.hosts)


def test_ranks_on_two_hosts_with_mlflow_on_postgresql_and_s3(
    cluster: LaunchedCluster, jobs: str, network: Network, tmp_path: Path
) -> None:
    try:
        database = Postgres()  # Only the MLflow server on this machine connects to it.
        server = MlflowServer(tmp_path, database.uri("mlflow"), users=database.uri("mlflow_auth"), host=network.address)
        bucket = ObjectStore(tmp_path, host=network.address)
    except MissingProgramError as program:
        pytest.skip(str(program))
    with database, server, bucket:
        name = bucket.make_bucket()
        cluster.give(
            ".mlflow/credentials",
            f"[mlflow]\nmlflow_tracking_username = {server.username}\nmlflow_tracking_password = {server.password}\n",
        )
        cluster.give(
            ".aws/credentials",
            f"[default]\naws_access_key_id = {bucket.access_key}\naws_secret_access_key = {bucket.secret_key}\n",
        )
        storage = f"s3://{name}/results?endpoint={bucket.endpoint}&region={bucket.region}"
        stores = ("--storage", storage, "--mlflow-uri", server.uri)
        # Only the head, where the driver runs, has the plug-in's file.
        (cluster.head.disk / "my_method.py").write_text(printed_plugin())
        method = ("--plugin", f"{DISK}/my_method.py", "--method", "squeezing")
        two_ranks = ("--workers", "2", *WHOLE_HOST, "--norm", "none", *method)
        trial = ("--name", "ddp", "--seeds", "1", "--epochs", "3")
        submit(cluster, jobs, *stores, *trial, *two_ranks, common=TINY_DATA)
        objects = bucket.client().list_objects_v2(Bucket=name)["Contents"]
        keys = [entry["Key"] for entry in objects if entry["Key"].endswith("record.json")]
        records = [json.loads(bucket.client().get_object(Bucket=name, Key=key)["Body"].read()) for key in keys]
        (record,) = records
        assert record["cell"]["method"] == "squeezing"
        assert record["verdict"]["outcome"] != "censored", record["verdict"]
        assert set(record["provenance"]["host"].split(", ")) == {worker.name for worker in cluster.workers}
        with pytest.MonkeyPatch.context() as environment:
            for variable, value in server.environment.items():
                environment.setenv(variable, value)
            client = MlflowClient(server.uri)
            (experiment,) = client.search_experiments(filter_string="name = 'unmask'")
            runs = client.search_runs([experiment.experiment_id])
        assert sorted((run.data.tags["role"], run.info.status) for run in runs) == [
            ("sweep", "FINISHED"),
            ("trial", "FINISHED"),
        ]


def test_ray_down_ends_the_head(cluster: LaunchedCluster) -> None:
    cluster.down()
    # The workers notice this and end about a minute later.
    assert not cluster.head.processes("ray")
