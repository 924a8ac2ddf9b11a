r"""Print a RayJob for KubeRay that runs a sweep on a cluster of its own and survives the loss of the cluster's head.

    python jobs/deploy/ray_job.py mine --preset table2-batch --max-concurrent 16 --gpus-per-worker 1 \
        | sed 's|REGISTRY|...|; s|BUCKET|...|' | kubectl apply -f -

The first argument is the sweep's --name; the others are options of jobs/sweep_trades.py. The cluster is the one of
kuberay.yaml, whose other parts must be applied first. keep-running.sh restarts a driver that died. If the head is lost,
KubeRay makes a new cluster, and the sweep continues from its storage. Needs KubeRay 1.5.1, which gives each cluster a
token.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

MANIFEST = Path(__file__).with_name("kuberay.yaml")
NEW_CLUSTERS = 20
"""Number of times that KubeRay makes a new cluster before the job counts as failed."""
KEPT_S = 600
"""Seconds for which the cluster stays after the job, for its logs."""


def main(args: list[str]) -> int:
    """Print the manifest, or with ``--help`` the description; exit code 2 for a name that Kubernetes would refuse."""
    if args[:1] in (["--help"], ["-h"]):
        print(__doc__)
        return 0
    if not args or not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,37}[a-z0-9])?", args[0]):
        print("ray_job.py: the first argument must be a name of a-z, 0-9 and -, up to 39 letters", file=sys.stderr)
        return 2
    name, *options = args
    documents = yaml.safe_load_all(MANIFEST.read_text())
    cluster = next(document["spec"] for document in documents if document["kind"] == "RayCluster")
    print(yaml.safe_dump(ray_job(name, options, cluster), sort_keys=False), end="")
    return 0


def ray_job(name: str, options: list[str], cluster: dict[str, Any]) -> dict[str, Any]:
    """The RayJob of a sweep.

    Args:
        name: name of the sweep.
        options: further options of the sweep's command.
        cluster: the ``spec`` of the RayCluster to run it on.
    """
    command = ["bash", "jobs/deploy/keep-running.sh", "python", "jobs/sweep_trades.py", "--name", name, *options]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": f"unmask-{name}"},
        "spec": {
            "entrypoint": shlex.join(command),
            "submissionMode": "K8sJobMode",
            "backoffLimit": NEW_CLUSTERS,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": KEPT_S,
            "rayClusterSpec": with_operators_token(cluster),
        },
    }


def with_operators_token(cluster: dict[str, Any]) -> dict[str, Any]:
    """The cluster with a token that KubeRay makes, because it has to follow the job through the dashboard."""
    found: dict[str, Any] = _without_own_token(cluster)
    return {**found, "authOptions": {"mode": "token"}}


def _without_own_token(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _without_own_token(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_without_own_token(value) for value in part if not _is_own_token(value)]
    return part


def _is_own_token(entry: Any) -> bool:
    return isinstance(entry, dict) and (entry.get("name") == "token" or str(entry.get("name")).startswith("RAY_AUTH_"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
