"""The rights of one task on a bucket, and the session policy that grants nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass

from core.storage.address import parse_s3

MAX_CHARACTERS = 2048
"""Largest session policy that AWS accepts."""
POLICY_CHARACTERS = frozenset("*?$")
"""Characters with a meaning in the names of a policy."""


@dataclass(frozen=True)
class Rights:
    """The objects that a task reads and changes, each as ``bucket/key``. ``*`` at the end stands for any characters.

    A session has a right only if its role has it as well. The role decides which files of any trial may be changed, the
    rights decide which trial, and so they need not name a trial's files one by one.

    Attributes:
        name: name of the task, which the server's log shows.
        read: objects to read.
        write: objects to create or replace.
        delete: objects to delete.
    """

    name: str
    read: tuple[str, ...]
    write: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()

    def policy(self, partition: str) -> str:
        """The session policy.

        It allows listing the buckets of all objects. Otherwise S3 answers that access to a missing object is denied.

        Args:
            partition: the part of AWS, such as ``aws``, that the role's ARN names.

        Raises:
            ValueError: the policy is longer than AWS allows.
        """
        objects = (*self.read, *self.write, *self.delete)
        allowed = {
            "ListBucket": sorted({name.partition("/")[0] for name in objects}),
            "GetObject": self.read,
            "PutObject": self.write,
            "DeleteObject": self.delete,
        }
        statements = [
            {
                "Effect": "Allow",
                "Action": f"s3:{action}",
                "Resource": [f"arn:{partition}:s3:::{name}" for name in names],
            }
            for action, names in allowed.items()
            if names
        ]
        # Ceph's gateway 16 does not decode the spaces of a policy.
        text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
        if len(text) > MAX_CHARACTERS:
            raise ValueError(
                f"the policy of {self.name} has {len(text)} characters, and AWS allows {MAX_CHARACTERS}: shorten the "
                "names of --storage, --name and --data-dir"
            )
        return text


def objects(root: str, *names: str) -> str:
    """The objects ``names`` below the ``s3://`` address ``root``, as `Rights` name them.

    Raises:
        ValueError: the address contains a character that has a meaning in a policy.
    """
    address = parse_s3(root)
    if POLICY_CHARACTERS & set(address.prefix):
        raise ValueError(
            f"{root}: must not contain {' '.join(sorted(POLICY_CHARACTERS))}, which have a meaning in policies"
        )
    return "/".join(part for part in (address.bucket, address.prefix, *names) if part)
