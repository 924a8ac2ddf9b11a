"""The cluster that a driver is asked to join.

Ray is not imported here, because Ray reads some environment variables at its import, and `keep_on_loopback` sets one of
them.
"""

from __future__ import annotations

import os
import sys

from core.config.names import cluster_address
from core.redaction import masked

ONE_MACHINE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's variable that, with the value 0, confines a cluster to its machine. All its servers then listen on loopback."""


def keep_on_loopback(address: str | None) -> None:
    """Let a cluster that the driver will start listen on this machine alone. Call it before Ray is imported.

    A cluster that is joined is not affected, and neither is a process that has imported Ray already.
    """
    if "ray" not in sys.modules and cluster_to_join(address) is None:
        os.environ.setdefault(ONE_MACHINE, "0")


def cluster_to_join(address: str | None) -> str | None:
    """The address of the cluster to join: ``address``, or that of RAY_ADDRESS; None if a local one must be started.

    The address ``local`` asks for a local one.

    Raises:
        ValueError: RAY_ADDRESS is not the address of a cluster.
    """
    chosen = address or _address_of_environment()
    return None if chosen == "local" else chosen


def _address_of_environment() -> str | None:
    given = os.environ.get("RAY_ADDRESS")
    try:
        return cluster_address(given) if given else None
    except ValueError as error:  # `ray job submit` reads the address of a dashboard from the same variable
        raise ValueError(f"RAY_ADDRESS {masked(given or '')}: {error}; unset it to start a local cluster") from error
