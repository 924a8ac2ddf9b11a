"""Search for processes, objects and files that should not exist after both sweeps have finished."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

from tests.chaos.site import GROUP_WORKER, JOB, LOCAL, LONE_WORKER, Site

KEPT_OBJECTS = re.compile(
    r"results/[a-z]+/(sweep\.json|progress\.json|driver/[0-9]{8}\.json|"
    r"trials/[0-9a-f]{12}-[0-9]+/(record\.json|selected\.pt|gated\.pt|last\.pt))"
)
"""Objects that a finished sweep keeps in its storage."""
KEPT_LOCALLY = re.compile(r"\.(cache|config)/.*")  # Font list of matplotlib and caches of torch.
"""Files that a driver keeps in its home folder."""
KEPT_ON_DISK = ("driver", "home", "ray")
TITLES = (LONE_WORKER, GROUP_WORKER, "ray::TrainController", "ray::TunerInternal", JOB)
RAYS_OWN = ("_AutoscalingCoordinatorActor",)
"""Detached actors that Ray Train starts once per cluster and keeps for later drivers."""
ENDS_WITHIN_S = 300
CODE = """
import json, sys, ray
from ray.util.state import list_actors, list_placement_groups
actors = [f"{a.class_name} {a.state}" for a in list_actors(limit=10000) if a.state != "DEAD"]
groups = [f"{g.placement_group_id} {g.state}" for g in list_placement_groups(limit=10000) if g.state != "REMOVED"]
print(json.dumps({"actors": actors, "placement groups": groups}))
"""


def leftovers(site: Site) -> dict[str, list[str]]:
    """Leftovers by kind. Processes, actors and placement groups have `ENDS_WITHIN_S` seconds to end."""
    in_ray = _once_empty(lambda: _in_ray(site))
    uploads = site.store.client().list_multipart_uploads(Bucket=site.bucket)
    return {
        "processes": _once_empty(lambda: {"": _processes(site)})[""],
        **in_ray,
        "objects": [key for key in (o["Key"] for o in site.objects()) if not KEPT_OBJECTS.fullmatch(key)],
        "uploads": [upload["Key"] for upload in uploads.get("Uploads", ())],
        "files of the driver": [f for f in _files(site, LOCAL) if not KEPT_LOCALLY.fullmatch(f)],
        "files on the hosts": [
            f"{host.name}: {path.name}"
            for host in site.network.hosts
            for path in host.disk.iterdir()
            if path.name not in KEPT_ON_DISK and not path.name.startswith(("torchinductor_", "pymp-"))
        ],
    }


def remains(site: Site) -> list[str]:
    """Processes and network interfaces that still exist after a site was closed."""
    mine = str(site.folder)
    running = [" ".join(p.info["cmdline"] or [])[:100] for p in psutil.process_iter(["cmdline"]) if _names(p, mine)]
    return running + [name for _, name in socket.if_nameindex() if name.startswith(site.network.bridge)]


def _names(process: psutil.Process, text: str) -> bool:
    return any(text in part for part in process.info["cmdline"] or ())


def _once_empty(look: Callable[[], dict[str, list[str]]]) -> dict[str, list[str]]:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while any((found := look()).values()) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def _in_ray(site: Site) -> dict[str, list[str]]:
    environment = {**site.cluster.environment, "RAY_ADDRESS": site.cluster.dashboard}
    asked = site.head.run(sys.executable, "-c", CODE, env=environment, check=False)
    if asked.returncode:
        return {"actors": [f"asking for them: exit code {asked.returncode}: {asked.stdout}{asked.stderr}"]}
    found: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    found["actors"] = [actor for actor in found["actors"] if not actor.startswith(RAYS_OWN)]
    return found


def _processes(site: Site) -> list[str]:
    return [f"{host.name}: {title}" for host in site.network.hosts for title in TITLES for _ in host.processes(title)]


def _files(site: Site, folder: str) -> list[str]:
    printed = site.head.run("find", folder, "-mindepth", "1", "-not", "-type", "d", "-printf", "%P\\n").stdout
    empty = site.head.run("find", folder, "-mindepth", "1", "-maxdepth", "1", "-empty", "-printf", "%P/\\n").stdout
    return sorted({*printed.splitlines(), *empty.splitlines()})
