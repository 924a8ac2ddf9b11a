"""A role of AWS or of another S3 server, whose temporary keys have the rights of one task."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from core.storage.address import is_s3, parse_s3
from core.storage.errors import UnreachableError
from core.storage.keys import Keys, KeySource, NoKeysError
from core.storage.rights import Rights
from core.storage.s3 import PROBE_S, Bucket
from core.storage.s3_errors import Problem, explain

SESSION_S = 3600
"""Seconds for which keys are valid. AWS allows no more to a role that was assumed with a role's keys, as on EC2."""
MAX_NAME = 64
TRUST_HINT = "the role must exist, and trust the user or role of the driver"
DEFAULT_REGION = "us-east-1"
"""The region that is asked if none is set. Its keys are valid in all regions that need no activation."""


class Role:
    """A role that this process may assume.

    Args:
        arn: the role's ARN.
        storage: ``s3://`` address of the sweeps, whose server has the role.
    """

    def __init__(self, arn: str, storage: str) -> None:
        import boto3
        from botocore.config import Config

        self.arn = arn
        self._partition = arn.split(":")[1]
        self.address = Bucket(parse_s3(storage)).address
        session = boto3.session.Session()
        self._sts: Any = session.client(
            "sts",
            endpoint_url=self.address.endpoint,
            region_name=self.address.region or os.environ.get("AWS_REGION") or session.region_name or DEFAULT_REGION,
            config=Config(connect_timeout=10, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"}),
        )

    def keys(self, rights: Rights) -> Keys:
        """New keys with these rights, as far as the role has them.

        Raises:
            NoKeysError: the server refuses them or does not answer.
        """
        found = self._assume(rights)
        if isinstance(found, Problem):
            raise NoKeysError(self._refused(found))
        return found

    def check(self, tasks: Sequence[Rights]) -> None:
        """Assume the role once, for the task with the longest policy, and list a folder with its keys.

        Args:
            tasks: the rights of some tasks.

        Raises:
            UnreachableError: the server does not answer.
            ValueError: the role cannot be assumed, or has no rights on the bucket. The message names the option.
        """
        try:
            rights = max(tasks, key=lambda task: len(task.policy(self._partition)))
        except ValueError as error:
            raise ValueError(f"--worker-role {self.arn}: {error}") from error
        found = self._assume(rights)
        if isinstance(found, Problem):
            kind = UnreachableError if found.temporary else ValueError
            raise kind(self._refused(found))
        bucket, _, key = rights.read[0].partition("/")
        place = replace(self.address, bucket=bucket, prefix="")
        try:
            Bucket(place, PROBE_S, KeySource(lambda: found)).list(key.rpartition("/")[0])
        except ValueError as error:
            raise type(error)(f"--worker-role {self.arn}: with its keys, {error}") from error

    def check_inputs(self, data_dir: str, others: Iterable[tuple[str, str]]) -> None:
        """Check the inputs in buckets.

        Args:
            data_dir: absolute folder, or ``s3://`` address, of the data sets.
            others: option and value of all other inputs; a value may be a path.

        Raises:
            ValueError: an input is on another server than the storage, or the data sets contain the storage.
        """
        for option, address in (("--data-dir", data_dir), *others):
            if is_s3(address):
                self.check_server(option, address)
        if is_s3(data_dir):
            self.check_outside("--data-dir", data_dir)

    def check_server(self, option: str, address: str) -> None:
        """Check that an input is on the server of the storage, because its keys are valid nowhere else.

        Raises:
            ValueError: ``address``, an ``s3://`` address, is on another server. The message names ``option``.
        """
        if Bucket(parse_s3(address)).address.endpoint != self.address.endpoint:
            raise ValueError(
                f"{option} {address}: must be on the server of --storage, because workers have keys of --worker-role "
                "only"
            )

    def check_outside(self, option: str, address: str) -> None:
        """Check that an input does not contain the storage, because tasks may read all of it.

        Raises:
            ValueError: the storage lies below ``address``, an ``s3://`` address. The message names ``option``.
        """
        given = parse_s3(address)
        above, below = f"{given.prefix}/".lstrip("/"), f"{self.address.prefix}/".lstrip("/")
        if given.bucket == self.address.bucket and below.startswith(above):
            raise ValueError(
                f"{option} {address}: must not contain --storage, because each task of --worker-role may read all of "
                f"{option}"
            )

    def _assume(self, rights: Rights) -> Keys | Problem:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self._sts.assume_role(
                RoleArn=self.arn,
                RoleSessionName=f"unmask-{rights.name}"[:MAX_NAME],
                Policy=rights.policy(self._partition),
                DurationSeconds=SESSION_S,
            )["Credentials"]
        except ClientError as error:
            problem = explain(error, self.address)
            return problem if problem.temporary else replace(problem, reason=f"{problem.reason}; {TRUST_HINT}")
        except BotoCoreError as error:
            return explain(error, self.address)
        return Keys(
            found["AccessKeyId"],
            found["SecretAccessKey"],
            found["SessionToken"],
            found["Expiration"].isoformat(),
        )

    def _refused(self, problem: Problem) -> str:
        return f"--worker-role {self.arn}: cannot be assumed: {problem.reason}"
