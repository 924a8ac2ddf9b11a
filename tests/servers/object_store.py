"""A real S3 server that checks signatures: Ceph's gateway with one monitor and one store in memory."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers.daemon import Daemon, answers, free_port, program
from tests.servers.server import Server

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{ports[0]},v1:127.0.0.1:{ports[1]}]
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
admin socket =
run dir = {folder}
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
mon allow pool size one = true
paxos propose interval = 0.05
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
rgw rados pool pg num min = 1
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
[client.admin]
rgw data = {folder}
rgw frontends = beast endpoint={host}:{port}
rgw thread pool size = 32
rgw cache enabled = false
rgw enable apis = s3, sts
rgw sts key = {session_key}
rgw sts min session duration = 1
rgw s3 auth use sts = {roles}
"""


class ObjectStore(Server):
    """Ceph RGW at ``endpoint``, with one account.

    ``stop``, ``kill``, ``pause`` and ``resume`` act on the gateway. The store behind it keeps objects until
    `close`.

    Args:
        folder: folder of the server's files.
        host: address at which the server listens.
        gateway: further environment variables of the gateway.
        roles: whether users can assume the roles of `add_role`. The server then answers AccessDenied to a wrong key.
    """

    access_key = "unmask-test-key"
    secret_key = "not-a-word-of-any-list"
    region = "us-east-1"

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        gateway: Mapping[str, str] | None = None,
        roles: bool = False,
    ) -> None:
        self.programs = {
            name: program(name, package)
            for package, names in {
                "ceph-mon": ("ceph-mon",),
                "ceph-osd": ("ceph-osd",),
                "ceph-base": ("monmaptool",),
                "ceph-common": ("ceph", "radosgw-admin"),
                "radosgw": ("radosgw",),
            }.items()
            for name in names
        }
        self.folder, self.host, self.port, self._roles = folder, host, free_port(host), roles
        self.endpoint = f"http://{host}:{self.port}"
        self._clients: dict[tuple[str, str], Any] = {}
        self._configuration = folder / "ceph.conf"
        self._monitor = self._ceph("ceph-mon", "-f", "-i", "a")
        self._disk = self._ceph("ceph-osd", "-f", "-i", "0")
        self.daemon = self._ceph("radosgw", "-f", "-n", "client.admin", environment=gateway)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a user, which override all AWS settings of this machine."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, access_key: str | None = None, secret_key: str | None = None) -> Any:
        """A boto3 client with the account's keys or other keys, one per key, because its creation takes long."""
        keys = access_key or self.access_key, secret_key or self.secret_key
        if keys not in self._clients:
            self._clients[keys] = self._make_client(*keys)
        return self._clients[keys]

    def _make_client(self, access_key: str, secret_key: str) -> Any:
        import boto3  # The import is slow, and every test run imports this file.
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"),
        )

    def make_bucket(self, name: str | None = None) -> str:
        """Create a bucket, by default with a new name, and return its name."""
        name = name or f"bucket-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def add_user(self, name: str, access_key: str, secret_key: str) -> None:
        """Create another account, which has no access to the objects of the first account."""
        keys = (f"--access-key={access_key}", f"--secret={secret_key}")
        self._run("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}", *keys)

    def add_role(self, name: str, user: str, statements: Sequence[Mapping[str, Any]]) -> str:
        """Create a role that ``user`` may assume and that has these rights, and return its ARN."""
        trusted = {"Effect": "Allow", "Principal": {"AWS": [f"arn:aws:iam:::user/{user}"]}, "Action": "sts:AssumeRole"}
        self._run("radosgw-admin", "role", "create", f"--role-name={name}", _document("assume-role-policy", [trusted]))
        rights = ("--policy-name=rights", _document("policy", statements))
        self._run("radosgw-admin", "role", "policy", "put", f"--role-name={name}", *rights)
        return f"arn:aws:iam:::role/{name}"

    def start(self) -> None:
        """Start the server, the first time with a new and empty store."""
        if self._monitor.process is None:
            self._make_store()
        self.daemon.start(lambda: answers(self.endpoint))

    def close(self) -> None:
        """Stop all programs and remove all objects."""
        for daemon in (self.daemon, self._disk, self._monitor):
            daemon.kill()

    def _make_store(self) -> None:
        identity, disk = str(uuid.uuid4()), str(uuid.uuid4())
        ports = (free_port("127.0.0.1"), free_port("127.0.0.1"))
        for name in ("mon", "osd"):
            (self.folder / name).mkdir()
        self._configuration.write_text(
            CONFIGURATION.format(
                fsid=identity,
                ports=ports,
                folder=self.folder,
                host=self.host,
                port=self.port,
                session_key=uuid.uuid4().hex[:16],
                roles=str(self._roles).lower(),
            )
        )
        where = f"[v2:127.0.0.1:{ports[0]},v1:127.0.0.1:{ports[1]}]"
        self._run("monmaptool", "--create", "--fsid", identity, "--addv", "a", where, str(self.folder / "monmap"))
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self.folder / "monmap"))
        self._monitor.start(lambda: True)
        self._run("ceph", "osd", "new", disk)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._disk.start(lambda: True)
        self.add_user("unmask", self.access_key, self.secret_key)

    def _ceph(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Daemon:
        command = [self.programs[name], *arguments, "-c", self._configuration]
        return Daemon(command, self.folder / f"{name}.out", environment)

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self.programs[name]), *arguments]
        if name != "monmaptool":
            command += ["-c", str(self._configuration)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def _document(option: str, statements: Sequence[Mapping[str, Any]]) -> str:
    return f"--{option}-doc={json.dumps({'Version': '2012-10-17', 'Statement': statements})}"
