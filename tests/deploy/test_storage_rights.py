"""The rights of workers, drivers and MLflow on the bucket, as a real S3 server interprets the stack's policies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import pytest
import torch
from botocore.exceptions import ClientError

from core.config import Cell, ProtocolOptions, SeededCell, Sweep
from core.data.load import load_dataset
from core.engine.ranks import Ranks
from core.engine.trial import TrialRun, run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.evaluation.block_run import BlockFile
from core.evaluation.blocks import Block
from core.ledger.driver_lock import driver_lock
from core.ledger.ledger import Ledger
from core.records import TrialRecord
from core.storage import Store, StoreError, s3
from core.sweep.trial_plan import fixed_trials
from core.verdict import censor
from tests import tiny
from tests.servers import ObjectStore

pytestmark = [pytest.mark.server, pytest.mark.slow]
POLICIES = {"worker": ("WorkerStorage",), "driver": ("DriverStorage",), "mlflow": ("TrackingStorage",)}
KEY = "0123456789ab-0"
RECORD = f"results/s/trials/{KEY}/record.json"
CRASH = f"results/s/trials/{KEY}/crash.json"

Act = Callable[[str], None]
"""Lets all further requests of this process come from a role."""


@pytest.fixture(scope="module")
def bucket(stack: dict[str, Any], object_store: ObjectStore) -> str:
    """A bucket whose policy gives each role the statements of its policies in the stack.

    Ceph does not know the condition ``s3:if-none-match``. `keep_records` takes the place of the statements with it.
    """
    bucket = object_store.make_bucket()
    statements = []
    for role, names in POLICIES.items():
        object_store.add_user(f"{bucket}-{role}", f"{bucket}-{role}", f"{role}-secret")
        for name in names:
            for statement in stack[name]["Properties"]["PolicyDocument"]["Statement"]:
                if "Condition" in statement:
                    continue
                wanted = statement["Resource"]
                wanted = [wanted] if isinstance(wanted, str) else wanted
                names_here = [resource.replace("${Bucket.Arn}", f"arn:aws:s3:::{bucket}") for resource in wanted]
                statements.append(
                    {
                        "Effect": statement["Effect"],
                        "Action": statement["Action"],
                        "Principal": {"AWS": [f"arn:aws:iam:::user/{bucket}-{role}"]},
                        "Resource": names_here,
                    }
                )
    client = object_store.client()
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def keep_records(params: dict[str, Any], **_: Any) -> None:
    """Refuse a request that may replace a record, as AWS does by the statements ``ReplaceNoRecord``."""
    if params["Key"].endswith("/record.json") and params.get("IfNoneMatch") != "*":
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "ReplaceNoRecord"}}, "PutObject")


@pytest.fixture
def act(bucket: str, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Act]:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    connect = s3._client

    @lru_cache
    def with_rule(*where: Any) -> Any:
        client = connect(*where)
        client.meta.events.register("provide-client-params.s3.PutObject", keep_records)
        return client

    monkeypatch.setattr(s3, "_client", with_rule)

    def act(role: str) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"{bucket}-{role}")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{role}-secret")
        connect.cache_clear()
        with_rule.cache_clear()

    yield act
    connect.cache_clear()


def test_a_sweep_runs_with_the_rights_of_its_driver_and_workers(
    bucket: str, act: Act, object_store: ObjectStore
) -> None:
    cell = Cell.from_flat(tiny.CELL)
    protocol = ProtocolOptions(**tiny.VERDICT)
    sweep = Sweep(name="s", preset="none", entries=(SeededCell(cell=cell, seeds=1),), protocol=protocol)
    (trial,) = fixed_trials(sweep)
    root = f"s3://{bucket}/results/s"
    act("driver")
    store = Store(root)
    store.probe()
    with driver_lock(store, "s") as lease:
        ledger = Ledger(store.guarded(lease.check), "s")
        ledger.enter(sweep)
        act("worker")
        context = TrialContext(
            "s", Store(f"{root}/trials/{trial.key}").guarded(lease.fence.check), Ranks(), lambda *_: None, "none",
            Cadence(report_s=0, checkpoint_s=0),
        )  # fmt: skip
        record = run_trial(trial, protocol, lambda: load_dataset(cell.data, ""), context)
        assert record is not None
        assert sorted(Store(f"{root}/trials/{trial.key}").names())[:1] == ["gated.pt"]
        assert "resume.ckpt" not in Store(f"{root}/trials/{trial.key}").names()
        block = BlockFile(Store(f"{root}/trials/{trial.key}"), "0" * 64, Block(0, 0, 20), 20, 0)
        block.store.write(block.name, b"{}")
        act("driver")
        ledger = Ledger(Store(root), "s")
        stored = ledger.record(trial.key)
        assert ledger.records() == {trial.key: stored}
        crashed = record.model_copy(update={"verdict": censor("crashed: test")})
        assert ledger.write(crashed) == ledger.record(trial.key) == stored
        with pytest.raises(StoreError, match="AccessDenied"):
            ledger.trial_store(trial.key).write("record.json", crashed.to_json())
        left = {"artifact-policy.pt", "attempts.json", "resume.ckpt"}
        for name in left:
            ledger.trial_store(trial.key).write(name, b"of a worker that was killed")
        ledger.delete_leftovers(trial.key)
        assert not left & {*ledger.trial_store(trial.key).names()}


class OpenTrial:
    """A stored sweep with one open trial. What it returns asks with the rights of the role that acts at this moment."""

    def __init__(self, bucket: str, name: str) -> None:
        self.name, self.root = name, f"s3://{bucket}/results/{name}"
        entry = SeededCell(cell=Cell.from_flat(tiny.CELL), seeds=1)
        self.protocol = ProtocolOptions(**tiny.VERDICT)
        sweep = Sweep(name=name, preset="none", entries=(entry,), protocol=self.protocol)
        (self.trial,) = fixed_trials(sweep)
        self.ledger.enter(sweep)
        self.crash = TrialRecord(
            sweep=name,
            **self.trial.record_fields(),
            protocol=self.protocol.model_dump(mode="json"),
            verdict=censor("crashed: it is slow"),
            epochs_run=0,
        )

    @property
    def ledger(self) -> Ledger:
        return Ledger(Store(self.root), self.name)

    def train(self, report: Callable[..., None] = lambda *_: None) -> TrialRecord:
        store = Store(f"{self.root}/trials/{self.trial.key}")
        context = TrialContext(self.name, store, Ranks(), report, "none", Cadence(report_s=0, checkpoint_s=0))
        record = run_trial(self.trial, self.protocol, lambda: load_dataset(self.trial.cell.data, ""), context)
        assert record is not None
        return record


@pytest.fixture
def open_trial(bucket: str, act: Act, request: pytest.FixtureRequest) -> OpenTrial:
    act("driver")
    return OpenTrial(bucket, request.node.name.replace("_", "-")[:40])


def test_a_late_result_counts_instead_of_the_crash_that_the_driver_has_stored(open_trial: OpenTrial, act: Act) -> None:
    """The driver takes a slow worker for a dead one. On AWS, nobody may replace a record."""
    key, crash = open_trial.trial.key, open_trial.crash

    def crashes(*_: object) -> None:
        act("driver")
        assert open_trial.ledger.write(crash) == open_trial.ledger.record(key) == crash
        act("worker")

    act("worker")
    result = open_trial.train(crashes)
    assert not result.crashed
    act("driver")
    ledger = open_trial.ledger
    assert "crash.json" in ledger.trial_store(key).names()
    assert ledger.record(key) == result
    ledger.delete_crash(key)
    assert "crash.json" not in ledger.trial_store(key).names()
    assert ledger.record(key) == result


def test_a_worker_stores_a_crash_and_the_driver_starts_its_trial_again(
    open_trial: OpenTrial, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    for attempt in (1, 2):
        act("worker")
        with monkeypatch.context() as patch:
            patch.setattr(TrialRun, "run", run)
            crash = open_trial.train()
        assert (crash.crashed, crash.attempts) == (True, attempt)
        act("driver")
        assert open_trial.ledger.records() == {open_trial.trial.key: crash}
        open_trial.ledger.delete_crash(open_trial.trial.key)
        assert not open_trial.ledger.records()
    act("worker")
    result = open_trial.train()
    assert (result.crashed, result.attempts) == (False, 3)


def test_a_crash_that_an_earlier_version_stored_as_a_record_needs_one_more_right(
    open_trial: OpenTrial, bucket: str, object_store: ObjectStore
) -> None:
    key, crash = open_trial.trial.key, open_trial.crash
    place = f"results/{open_trial.name}/trials/{key}/record.json"
    object_store.client().put_object(Bucket=bucket, Key=place, Body=crash.to_json())
    assert open_trial.ledger.records() == {key: crash}
    with pytest.raises(StoreError, match=r"record\.json.*AccessDenied"):
        open_trial.ledger.delete_crash(key)


@pytest.mark.parametrize(
    ("role", "refused"),
    [
        ("worker", ("delete", RECORD)),
        ("worker", ("delete", CRASH)),
        ("worker", ("delete", f"results/s/trials/{KEY}/last.pt")),
        ("worker", ("delete", "results/s/sweep.json")),
        ("worker", ("write", "results/s/sweep.json")),
        ("worker", ("write", "results/s/driver/00000001.json")),
        ("worker", ("write", "results/s/plugins/p.py")),
        ("worker", ("write", f"results/s/trials/{KEY}/evaluation.json")),
        ("worker", ("write", f"results/s/trials/{KEY}/measures.json")),
        ("worker", ("write", "data/cifar-10-batches-py/data_batch_1")),
        ("worker", ("read", "mlflow/1/run/artifacts/record.json")),
        ("worker", ("write", "mlflow/1/run/artifacts/record.json")),
        ("worker", ("delete", "mlflow/1/run/artifacts/record.json")),
        ("driver", ("delete", RECORD)),
        ("driver", ("delete", f"results/s/trials/{KEY}/last.pt")),
        ("driver", ("delete", "results/s/sweep.json")),
        ("driver", ("write", "data/cifar-10-batches-py/data_batch_1")),
        ("driver", ("write", "mlflow/1/run/artifacts/record.json")),
        ("mlflow", ("read", RECORD)),
        ("mlflow", ("write", RECORD)),
        ("mlflow", ("delete", RECORD)),
        *((role, ("erase", RECORD)) for role in POLICIES),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_a_role_does_not_need_is_refused(
    role: str, refused: tuple[str, str], bucket: str, object_store: ObjectStore
) -> None:
    owner, action, key = object_store.client(), *refused
    version = owner.put_object(Bucket=bucket, Key=key, Body=b"kept")["VersionId"]
    client = object_store.client(f"{bucket}-{role}", f"{role}-secret")
    requests = {
        "read": lambda: client.get_object(Bucket=bucket, Key=key),
        "write": lambda: client.put_object(Bucket=bucket, Key=key, Body=b"forged"),
        "delete": lambda: client.delete_object(Bucket=bucket, Key=key),
        "erase": lambda: client.delete_object(Bucket=bucket, Key=key, VersionId=version),
    }
    with pytest.raises(ClientError, match="AccessDenied"):
        requests[action]()
    assert owner.get_object(Bucket=bucket, Key=key)["Body"].read() == b"kept"


@pytest.mark.parametrize("role", ["WorkerStorage", "DriverStorage"])
def test_on_aws_a_record_is_created_and_never_replaced(role: str, stack: dict[str, Any]) -> None:
    (rule,) = [s for s in stack[role]["Properties"]["PolicyDocument"]["Statement"] if "Condition" in s]
    assert (rule["Effect"], rule["Action"]) == ("Deny", "s3:PutObject")
    assert rule["Resource"] == "${Bucket.Arn}/results/*/trials/*/record.json"
    assert rule["Condition"] == {"Null": {"s3:if-none-match": "true"}}


def test_a_record_that_was_overwritten_can_be_restored(bucket: str, object_store: ObjectStore) -> None:
    owner, worker = object_store.client(), object_store.client(f"{bucket}-worker", "worker-secret")
    version = owner.put_object(Bucket=bucket, Key=RECORD, Body=b"true")["VersionId"]
    worker.put_object(Bucket=bucket, Key=RECORD, Body=b"forged")
    assert owner.get_object(Bucket=bucket, Key=RECORD, VersionId=version)["Body"].read() == b"true"
