"""Checks of sweep names, which become names of folders, and of cluster addresses."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _safe(name: str) -> str:
    if not SAFE_NAME.fullmatch(name):
        raise ValueError("must be 1 to 100 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return name


SweepName = Annotated[str, AfterValidator(_safe)]
"""Name of a sweep. As it also names a folder, it can't contain a path to another folder."""

SHA256 = "^[0-9a-f]{64}$"
"""Pattern of a SHA-256 in hexadecimal digits."""

ROLE = re.compile(r"arn:[a-z0-9-]+:iam::[A-Za-z0-9_$-]*:role/[A-Za-z0-9_+=,.@/-]{1,512}")
CLUSTER = re.compile(r"auto|local|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def cluster_address(text: str) -> str:
    """Check that ``text`` is the address of a Ray cluster, and return it. Ray's own error does not name the option.

    Raises:
        ValueError: the text is no such address, for example that of a cluster's dashboard.
    """
    if not CLUSTER.fullmatch(text):
        raise ValueError("must be HOST:PORT of the cluster's head (6379 unless changed), auto or local")
    return text


ClusterAddress = Annotated[str, AfterValidator(cluster_address)]


def role_arn(text: str) -> str:
    """Check that ``text`` is the ARN of a role, and return it.

    Raises:
        ValueError: the text is something else, such as the name of a role.
    """
    if not ROLE.fullmatch(text):
        raise ValueError("must be the ARN of a role, such as arn:aws:iam::123456789012:role/unmask-trial")
    return text


RoleArn = Annotated[str, AfterValidator(role_arn)]


def checked_name(option: str, name: str) -> str:
    """Check the ``name`` given for ``option``, such as ``--sweep``, and return it.

    Raises:
        ValueError: the name can't be that of a sweep.
    """
    try:
        return _safe(name)
    except ValueError as error:
        raise ValueError(f"{option} {name}: {error}") from error
