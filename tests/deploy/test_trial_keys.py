"""Keys of one trial, as a real S3 server with STS gives and enforces them. The role has the rights of the stack's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from core.checkpoints.starting_weights import read_starting_point
from core.config import Cell, ProtocolOptions, RunOptions, SeededCell, Sweep, Trial
from core.data.load import load_dataset
from core.engine.ranks import Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.evaluation.blocks import Block
from core.evaluation.task import BlockTask
from core.ledger.driver_lock import driver_lock
from core.ledger.ledger import Ledger
from core.storage import Lease, Store, StoreError, s3
from core.storage.address import parse_s3
from core.storage.keys import Keys, KeySource, NoKeysError
from core.storage.rights import Rights, objects
from core.storage.role import Role
from core.storage.s3 import Bucket, use_keys
from core.sweep.trial_plan import fixed_trials
from core.sweep.trial_rights import open_role, trial_rights
from tests import tiny
from tests.servers import ObjectStore

pytestmark = [pytest.mark.server, pytest.mark.slow]
PROTOCOL = ProtocolOptions(**tiny.VERDICT)


class Place(NamedTuple):
    """A bucket. This process has the keys of its owner, who may assume the role."""

    server: ObjectStore
    bucket: str
    role: str

    @property
    def results(self) -> str:
        return f"s3://{self.bucket}/results"

    @property
    def data(self) -> str:
        return f"s3://{self.bucket}/data"

    def put(self, key: str, content: bytes = b"kept") -> None:
        """Write an object as the bucket's owner."""
        self.server.client().put_object(Bucket=self.bucket, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        """Read an object as the bucket's owner."""
        content: bytes = self.server.client().get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def with_keys(self, rights: Rights) -> Bucket:
        """The whole bucket with keys that have these rights."""
        role = Role(self.role, self.results)
        return Bucket(parse_s3(f"s3://{self.bucket}"), 0, KeySource(lambda: role.keys(rights)))


@pytest.fixture(scope="module")
def made(stack: dict[str, Any], role_store: ObjectStore) -> Place:
    """A bucket, and a role with the statements of `TrialRole` in the stack that Ceph knows."""
    bucket = role_store.make_bucket()
    assert stack["TrialRole"]["Properties"]["ManagedPolicyArns"] == ["${WorkerStorage}"]
    statements = [
        {**statement, "Resource": [name.replace("${Bucket.Arn}", f"arn:aws:s3:::{bucket}") for name in names]}
        for statement in stack["WorkerStorage"]["Properties"]["PolicyDocument"]["Statement"]
        for names in [statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]]
        if "Condition" not in statement  # Ceph does not know s3:if-none-match
    ]
    return Place(role_store, bucket, role_store.add_role(f"{bucket}-trial", "unmask", statements))


@pytest.fixture
def place(made: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, value in made.server.environment.items():
        monkeypatch.setenv(name, value)
    s3._client.cache_clear()
    yield made
    use_keys(None)
    s3._client.cache_clear()


def trained(place: Place, sweep: Sweep, trial: Trial, lease: Lease) -> None:
    """Train the trial with its keys, as a worker does."""
    role, rights = Role(place.role, place.results), trial_rights(trial, sweep.name, place.results, place.data)
    use_keys(KeySource(lambda: role.keys(rights)))
    store = Store(f"{place.results}/{sweep.name}/trials/{trial.key}")
    assert Store(f"{place.results}/{sweep.name}").read("sweep.json")
    context = TrialContext(
        sweep.name, store.guarded(lease.fence.check), Ranks(), lambda *_: None, "none",
        Cadence(report_s=0, checkpoint_s=0), start=read_starting_point(trial, Store(place.results)),
    )  # fmt: skip
    assert run_trial(trial, sweep.protocol, lambda: load_dataset(trial.cell.data, ""), context)
    assert sorted(store.names()) == ["gated.pt", "last.pt", "record.json", "selected.pt"]


def test_a_trial_is_trained_with_its_keys_and_everything_else_is_refused(place: Place) -> None:
    place.put("data/SHA256SUMS")
    cells = [Cell.from_flat(tiny.CELL)]
    first = fixed_trials(_sweep("s", cells[0]))[0]
    # This trial starts from the weights of the other one.
    cells.append(Cell.from_flat({**tiny.CELL, "start_from": f"s/{first.key}", "start_checkpoint": "last"}))
    for name, cell in zip("st", cells, strict=True):
        sweep = _sweep(name, cell)
        store = Store(f"{place.results}/{name}")
        with driver_lock(store, name) as lease:
            Ledger(store, name).enter(sweep)
            (trial,) = fixed_trials(sweep)
            trained(place, sweep, trial, lease)
            use_keys(None)
    assert Ledger(store, "t").records().keys() == {trial.key}

    keys = place.with_keys(trial_rights(trial, "t", place.results, place.data))
    own, other = f"results/t/trials/{trial.key}", "results/t/trials/0123456789ab-0"
    earlier = f"results/s/trials/{first.key}"
    place.put(f"{other}/last.pt")
    place.put(f"{other}/resume.ckpt")
    place.put("mlflow/1/artifact")
    assert keys.read("data/SHA256SUMS") == b"kept"
    for file in ("crash.json", "resume.ckpt", "artifact-state.pt", "attempts.json"):
        keys.write(f"{own}/{file}", b"new")
    for file in ("resume.ckpt", "artifact-state.pt", "attempts.json"):
        keys.delete(f"{own}/{file}")
    refused: list[tuple[Callable[[str], object], str]] = [
        *((lambda key: keys.create(key, b"forged"), f"{other}/{file}") for file in ("record.json", "attempts.json")),
        *((lambda key: keys.write(key, b"forged"), f"{other}/{file}") for file in ("last.pt", "resume.ckpt")),
        *((keys.read, key) for key in (f"{other}/last.pt", f"{earlier}/selected.pt", "mlflow/1/artifact")),
        *((keys.delete, key) for key in (f"{own}/record.json", f"{own}/last.pt", f"{other}/resume.ckpt")),
        *((lambda key: keys.write(key, b"forged"), f"{own}/{file}") for file in ("evaluation.json", "measures.json")),
        (lambda key: keys.write(key, b"forged"), f"{earlier}/last.pt"),
        (lambda key: keys.write(key, b"forged"), "results/t/sweep.json"),
        (lambda key: keys.write(key, b"forged"), "results/t/driver/00000001.json"),
        (lambda key: keys.write(key, b"forged"), "data/SHA256SUMS"),
    ]
    before = _objects(place)
    for request, key in refused:
        with pytest.raises(StoreError, match=r"\(AccessDenied\)"):
            request(key)
    assert _objects(place) == before


def test_an_evaluation_reads_one_checkpoint_and_writes_its_results_only(place: Place) -> None:
    trial = "results/e/trials/0123456789ab-0"
    place.put(f"{trial}/last.pt")
    place.put(f"{trial}/selected.pt")
    place.put("results/source/trials/0123456789ab-1/last.pt")
    task = BlockTask(
        store=f"s3://{place.bucket}/{trial}", file="last.pt", weights="0" * 64, data="", data_dir="/data", plugins=(),
        block=Block(0, 0, 20), size=20, seed=0, specs=(),
        source=(f"s3://{place.bucket}/results/source/trials/0123456789ab-1", "last.pt", "0" * 64),
    )  # fmt: skip
    keys = place.with_keys(task.rights)
    for key in (f"{trial}/last.pt", "results/source/trials/0123456789ab-1/last.pt"):
        assert keys.read(key) == b"kept"
    keys.write(f"{trial}/{task.results.name}", b"{}")
    assert keys.read(f"{trial}/{task.results.name}") == b"{}"
    for request, key in (
        *((lambda key: keys.write(key, b"forged"), f"{trial}/{file}") for file in ("last.pt", "record.json")),
        (lambda key: keys.write(key, b"forged"), "results/e/trials/0123456789ab-2/evaluation/x.json"),
        (keys.delete, f"{trial}/{task.results.name}"),
        (keys.read, f"{trial}/selected.pt"),
    ):
        with pytest.raises(StoreError, match=r"\(AccessDenied\)"):
            request(key)


def test_keys_are_renewed_before_the_server_refuses_them(place: Place) -> None:
    import boto3
    from botocore.config import Config

    place.put("results/r/sweep.json")
    policy = Rights("r", (objects(place.results, "r", "*"),)).policy("aws")
    # botocore would refuse the two seconds, which this server accepts.
    sts = boto3.client(
        "sts", endpoint_url=place.server.endpoint, region_name="us-east-1", config=Config(parameter_validation=False)
    )
    fetched: list[Keys] = []

    def fetch() -> Keys:
        found = sts.assume_role(RoleArn=place.role, RoleSessionName="short", Policy=policy, DurationSeconds=2)
        key = found["Credentials"]
        expires = key["Expiration"].isoformat()
        fetched.append(Keys(key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"], expires))
        return fetched[-1]

    renewed = Bucket(parse_s3(place.results), 0, KeySource(fetch))
    assert renewed.read("r/sweep.json") == b"kept"
    first = fetched[0]
    # The same keys with a later end are not renewed: the server itself refuses them.
    kept = KeySource(lambda: Keys(first.access_key, first.secret_key, first.token, "2999-01-01T00:00:00Z"))
    time.sleep(4)
    assert renewed.read("r/sweep.json") == b"kept"
    assert len({key.token for key in fetched}) > 1
    with pytest.raises(StoreError, match=r"does not (accept|allow)"):
        Bucket(parse_s3(place.results), 0, kept).read("r/sweep.json")


def test_a_process_that_trains_the_next_trial_has_its_keys(place: Place) -> None:
    keys, names = {}, ("k-0", "k-1")
    for name in names:
        place.put(f"results/n/trials/{name}/last.pt", name.encode())
    for name in names:
        rights = Rights(name, (objects(place.results, "n", "trials", name, "*"),))
        role = Role(place.role, place.results)
        use_keys(KeySource(lambda role=role, rights=rights: role.keys(rights)))
        keys[name] = Store(f"{place.results}/n/trials/{name}")
        assert keys[name].read("last.pt") == name.encode()
        with pytest.raises(StoreError, match="AccessDenied"):
            Store(f"{place.results}/n/trials/k-{1 - int(name[-1])}").read("last.pt")
    # What a thread of the first trial still has open works on this trial only, with another limit of time as well.
    assert keys["k-0"].with_retry_limit(0).read("last.pt") == b"k-0"
    use_keys(None)
    assert Store(f"{place.results}/n").child("trials").child("k-1").read("last.pt") == b"k-1"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("arn:aws:iam:::role/nosuch", "cannot be assumed: .* the role must exist, and trust the user or role"),
        ("another user", "cannot be assumed: .* does not allow this with these keys .* must exist, and trust"),
        ("wrong secret", "cannot be assumed: .* does not allow this with these keys"),
        ("no rights", "with its keys, s3://.*: cannot list it: .* does not allow this"),
        ("no server", "cannot be assumed: no answer from http://127.0.0.1:9"),
        ("long names", "the policy of .* has .* characters, and AWS allows 2048"),
        ("other server", "--data-dir s3://data.* must be on the server of --storage"),
        ("wild", r"must not contain \$ \* \?"),
    ],
)
def test_a_role_that_cannot_be_used_is_one_line_before_anything_starts(
    change: str, says: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn, storage, data_dir, name = place.role, place.results, "data", "s"
    match change:
        case "another user":
            place.server.add_user(f"{place.bucket}-else", f"{place.bucket}-else", "wrong-secret")
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"{place.bucket}-else")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
        case "wrong secret":
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
        case "no rights":
            arn = place.server.add_role(f"{place.bucket}-none", "unmask", NOTHING)
        case "no server":
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        case "long names":
            storage, name = f"{storage}/{'long' * 100}", "s" * 100
        case "other server":
            data_dir = "s3://data?endpoint=http://127.0.0.1:9"
        case "wild":
            storage += "/$*?"
        case _:
            arn = change
    run = RunOptions(worker_role=arn, data_dir=data_dir)
    with pytest.raises(ValueError, match=says) as refused:
        open_role(_sweep(name, Cell.from_flat(tiny.CELL)), run, storage)
    message = str(refused.value)
    assert "\n" not in message
    assert "--worker-role" in message or change == "wild"
    assert not any(secret in message for secret in ("wrong-secret", place.server.secret_key))


def test_no_text_about_keys_shows_them(place: Place) -> None:
    rights = Rights("k-0", (objects(place.results, "n", "*"),))
    found = Role(place.role, place.results).keys(rights)
    assert not any(secret in f"{found!r} {found}" for secret in (found.access_key, found.secret_key, found.token))
    with pytest.raises(NoKeysError) as refused:
        Role(f"{place.role}x", place.results).keys(rights)
    assert place.server.secret_key not in str(refused.value)


NOTHING = [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::nothing/*"]}]


def _sweep(name: str, cell: Cell) -> Sweep:
    return Sweep(name=name, preset="none", entries=(SeededCell(cell=cell, seeds=1),), protocol=PROTOCOL)


def _objects(place: Place) -> dict[str, str]:
    listed = place.server.client().list_objects_v2(Bucket=place.bucket)["Contents"]
    return {entry["Key"]: entry["ETag"] for entry in listed}
