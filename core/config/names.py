"""Names that become folders, files, parts of queries, and places to connect to."""

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
"""A sweep's name: nothing in it can lead out of the folder that it names."""

CLUSTER = re.compile(r"auto|local|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def cluster_address(text: str) -> str:
    """``text``, if a driver can join a Ray cluster there; Ray itself says "Invalid gcs_address", and not whose.

    Raises:
        ValueError: it is none, such as the address of a cluster's dashboard.
    """
    if not CLUSTER.fullmatch(text):
        raise ValueError("must be HOST:PORT of the cluster's head (6379 unless changed), auto or local")
    return text


ClusterAddress = Annotated[str, AfterValidator(cluster_address)]


def checked_name(option: str, name: str) -> str:
    """``name`` as given for ``option`` (``--sweep``).

    Raises:
        ValueError: it can't be the name of a sweep.
    """
    try:
        return _safe(name)
    except ValueError as error:
        raise ValueError(f"{option} {name}: {error}") from error
