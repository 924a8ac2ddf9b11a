"""A sweep and an evaluation whose workers have no keys of their own, on a real S3 server with STS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster.conftest import JOB, Sweep
from tests.servers import ObjectStore
from tests.servers.shared_ray import SharedRay

pytestmark = [pytest.mark.cluster, pytest.mark.server, pytest.mark.slow]
BOTH_JOBS = """
import os, sys
from core.storage.role import Role
from jobs import evaluate, sweep_trades

give = Role.keys

def note(self, rights):
    keys = give(self, rights)
    with open("given.txt", "a") as file:
        print(rights.name, keys.access_key, keys.secret_key, keys.token, file=file)
    return keys

Role.keys = note
place, options = sys.argv[1:5], sys.argv[5:]
code = sweep_trades.main([*place, *options])
assert "AWS_SECRET_ACCESS_KEY" in os.environ
images = ("--mode", "none", "--which", "last", "--images", "20")
sys.exit(code or evaluate.main([*place, "--sweep", "tiny", *images]))
"""
"""Both jobs, which also write the keys that they give to workers into a file of the test."""
RESTARTS = """
import sys, time
import ray
from botocore.exceptions import CredentialRetrievalError
from core.cluster.key_server import KeyServer, use_keys_of
from core.storage import s3
from core.storage.keys import Keys
from core.storage.rights import Rights

class GivenRole:
    def keys(self, rights):
        return Keys("key of " + rights.name, "secret", "token", "2999-01-01T00:00:00Z")

@ray.remote(num_cpus=0)
def key(grant):
    use_keys_of(grant)
    for _ in range(300):
        try:
            return s3._keys.credentials.get_frozen_credentials().access_key
        except CredentialRetrievalError:  # Stores ask again, too.
            time.sleep(0.2)

ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
key_server = KeyServer(GivenRole())
key_server.open()
grants = [key_server.grant(Rights(name, ("bucket/" + name,))) for name in ("one", "two")]
print(ray.get(key.remote(grants[0])), flush=True)
ray.kill(ray.get_actor(grants[0].actor), no_restart=False)
print(ray.get(key.remote(grants[1])), flush=True)
key_server.close()
ray.shutdown()
"""


def test_a_sweep_and_its_evaluation_run_with_keys_of_one_trial_at_a_time(
    sweep: Sweep, shared_ray: SharedRay, role_store: ObjectStore
) -> None:
    bucket = role_store.make_bucket()
    # The cluster was started without keys. The jobs find theirs in their environment, which Ray Tune copies to trials.
    sweep.environment |= role_store.environment | {"HOME": str(sweep.folder), "PYTHONPATH": str(JOB.parents[1])}
    whole = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"]
    role = role_store.add_role(f"{bucket}-trial", "unmask", [{"Effect": "Allow", "Action": actions, "Resource": whole}])
    place = ("--storage", f"s3://{bucket}/results", "--worker-role", role)
    sweep.program = ("-c", BOTH_JOBS, *place)
    sweep.run("--name", "tiny", "--seeds", "1", "--epochs", "2")

    client = role_store.client()
    names = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]]
    objects = {name: client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}
    (record,) = [json.loads(content) for name, content in objects.items() if name.endswith("/record.json")]
    assert len(record["trace"]) == 2
    assert any(name.endswith("/evaluation.json") for name in names)

    given = [line.split() for line in (sweep.folder / "given.txt").read_text().splitlines()]
    check, trial = "storage-probe", f"{record['cell_id']}-{record['seed']}"
    assert [name for name, *_ in given] == [check, trial, check, "evaluation"]
    seen = objects | _files(sweep.folder) | _files(Path(shared_ray.mark[1]))
    secrets = [role_store.secret_key, *(secret for _, *keys in given for secret in keys)]
    assert len(secrets) == 1 + 4 * 3
    assert not [(secret, name) for secret in secrets for name, content in seen.items() if secret.encode() in content]


def test_a_cluster_of_one_node_without_keys_is_told_so_before_anything_starts(
    sweep: Sweep, shared_ray: SharedRay, role_store: ObjectStore
) -> None:
    sweep.environment |= role_store.environment | {"HOME": str(sweep.folder)}
    storage = f"s3://{role_store.make_bucket()}/results"
    printed = sweep.run("--name", "tiny", "--seeds", "1", "--epochs", "2", "--storage", storage, code=2)
    (line,) = [line for line in printed.splitlines() if "error:" in line]
    assert "cannot read it: " in line
    assert "no access key was found" in line
    assert "to run" not in printed


def test_keys_are_given_again_after_the_actor_that_passes_them_on_was_lost(sweep: Sweep, shared_ray: SharedRay) -> None:
    sweep.program, sweep.common = ("-c", RESTARTS, shared_ray.address), ()
    sweep.environment["PYTHONPATH"] = str(JOB.parents[1])
    assert [line for line in sweep.run().splitlines() if line.startswith("key of")] == ["key of one", "key of two"]


def _files(folder: Path) -> dict[str, bytes]:
    """The contents of all files that the jobs and the cluster have written.

    The test's own note and Ray's copies of a checkout, which contains this project's tests, are left out.
    """
    found = (file for file in folder.rglob("*") if "working_dir_files" not in file.parts)
    return {str(file): file.read_bytes() for file in found if file.is_file() and file.name != "given.txt"}
