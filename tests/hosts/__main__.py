"""A Ray cluster of several hosts on this machine for experiments. It needs root and ends with Ctrl-D.

python -m tests.hosts --workers 2 --cpus 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.hosts.network import Network, missing
from tests.hosts.ray_cluster import RayCluster

ACTIONS = {
    "cut": "cut WORKER: its link fails silently;  heal WORKER: it works again",
    "off": "off WORKER: switched off;  on WORKER: switched on, and Ray started",
}


def main() -> None:
    """Start the cluster, print its use, and apply the typed commands to its workers."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=1, help="of each worker, as Ray counts them")
    options = parser.parse_args()
    if reason := missing():
        sys.exit(f"error: {reason}")
    with tempfile.TemporaryDirectory(prefix="unmask-hosts-") as folder, Network(Path(folder)) as network:
        cluster = RayCluster(network, workers=options.workers, cpus=options.cpus)
        cluster.start()
        workers = {worker.name: worker for worker in cluster.workers}
        settings = {**cluster.environment, "RAY_API_SERVER_ADDRESS": cluster.dashboard}
        addresses = ", ".join(f"{host.name} {host.address}" for host in network.hosts)
        print(
            f"{addresses}; this machine is {network.address}. In another terminal:\n"
            f"  export {' '.join(f'{name}={value}' for name, value in settings.items())}\n"
            "  ray job submit --working-dir . -- python jobs/sweep_trades.py --storage /FOLDER --seeds 1",
            *ACTIONS.values(),
            sep="\n",
            flush=True,
        )
        for line in sys.stdin:
            action, _, name = line.strip().partition(" ")
            if name not in workers:
                print(f"one of {', '.join(workers)}")
                continue
            worker = workers[name]
            match action:
                case "cut":
                    worker.cut()
                case "heal":
                    worker.heal()
                case "off":
                    worker.kill()
                case "on":
                    worker.start()
                    cluster.join(worker)
                case _:
                    print("cut, heal, off or on")


if __name__ == "__main__":
    main()
