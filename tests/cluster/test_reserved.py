"""A driver releases what Ray reserves for drivers that were killed, and nothing else, and says who has the room."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.shared_ray import CPUS, SharedRay

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

WITHIN_S = 180
OF_CHAIN, OF_DRIVER, OF_DETACHED_ACTOR, DETACHED = 0.001, 0.002, 0.003, 0.004
"""CPUs of placement groups, by which the test knows them."""
CHAIN = f"""
import ray
from ray.util.placement_group import placement_group

ray.init(logging_level="ERROR", log_to_driver=False)

@ray.remote(num_cpus=0)
class Link:
    def __init__(self, further):
        self.next = Link.remote(further - 1) if further else None

    def create_groups(self):
        if self.next:
            ray.get(self.next.create_groups.remote())
        while True:
            placement_group([{{"CPU": {OF_CHAIN}}}])

ray.get(Link.remote(3).create_groups.remote())
"""
"""The actors of this driver end one after another when it is killed, and the last one creates groups until then."""
KEEPING = f"""
import ray
from ray.util.placement_group import placement_group

ray.init(namespace="kept", logging_level="ERROR", log_to_driver=False)

@ray.remote(num_cpus=0)
class Owner:
    def create_group(self):
        return placement_group([{{"CPU": {OF_DETACHED_ACTOR}}}]).wait(60)

owner = Owner.options(name="owner", lifetime="detached").remote()
assert ray.get(owner.create_group.remote())
assert placement_group([{{"CPU": {DETACHED}}}], name="group", lifetime="detached").wait(60)
"""
"""A driver that ends, and leaves a detached actor with a group, and a detached group."""
LIVING = f"""
import time
import ray
from ray.util.placement_group import placement_group

ray.init(logging_level="ERROR", log_to_driver=False)
group = placement_group([{{"CPU": {OF_DRIVER}}}])
time.sleep(1000)
"""
OCCUPYING = f"""
import time
import ray

ray.init(logging_level="ERROR", log_to_driver=False)

@ray.remote(num_cpus={CPUS})
class Occupant:
    def ready(self):
        pass

occupant = Occupant.remote()
ray.get(occupant.ready.remote())
print("occupied", flush=True)
time.sleep(1000)
"""
"""A driver with all CPUs."""
WAITING = """
import sys, time
import ray
from core.cluster.kept_free import keep_free
from core.sweep import placement_watch
from ray.util.placement_group import placement_group

ray.init(logging_level="ERROR", log_to_driver=False)
placement_watch.LOOK_EVERY_S, placement_watch.ANSWER_S = 0, 60
has_room = True
watch = placement_watch.PlacementWatch(lambda: has_room)
keep_free({"CPU": 1000}, ray.get_runtime_context().get_node_id())
group = placement_group([{"CPU": 1}])
lines = [watch.look() for _ in range(3)]
has_room = False
print(lines, watch.look(), flush=True)
sys.stdin.read()
assert group.wait(60)
watch = placement_watch.PlacementWatch(lambda: True)  # has said nothing yet
print([watch.look() for _ in range(3)], flush=True)
"""
"""A driver with a placement group for which there is no room until its input ends, and one of a node to avoid."""
ASKING = """
import json, sys
import ray
from ray.util.state import list_actors
from core.cluster.abandoned_groups import release_abandoned_groups

ray.init(namespace="kept", logging_level="ERROR", log_to_driver=False)
said = release_abandoned_groups() if "release" in sys.argv else None
groups = [group for group in ray.util.placement_group_table().values() if group["state"] != "REMOVED"]
cpus = [bundle["CPU"] for group in groups for bundle in group["bundles"].values()]
alive = [("class_name", "=", "Link"), ("state", "=", "ALIVE")]
links = list_actors(ray.get_runtime_context().gcs_address, filters=alive)
if "end" in sys.argv:
    ray.kill(ray.get_actor("owner"))
    ray.util.remove_placement_group(ray.util.get_placement_group("group"))
print(json.dumps({"said": said, "cpus": cpus, "links": len(links)}))
"""


def _start(cluster: SharedRay, program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **cluster.environment, cluster.mark[0]: cluster.mark[1]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(cluster: SharedRay, *arguments: str) -> dict[str, Any]:
    printed, _ = _start(cluster, ASKING, *arguments).communicate(timeout=WITHIN_S)
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


@pytest.fixture
def cluster() -> Iterator[SharedRay]:
    """A cluster for one test. Ray once kept 0.001 CPU of the hundreds of groups that this test's chain creates."""
    with SharedRay() as cluster:
        yield cluster


def test_only_groups_without_a_living_creator_are_released(cluster: SharedRay) -> None:
    deadline = time.monotonic() + WITHIN_S
    assert _start(cluster, KEEPING).wait(WITHIN_S) == 0
    living, chain = _start(cluster, LIVING), _start(cluster, CHAIN)
    try:
        while (found := _ask(cluster))["cpus"].count(OF_CHAIN) < 20 or OF_DRIVER not in found["cpus"]:
            assert time.monotonic() < deadline, found
        chain.kill()
        left: dict[str, Any] = {}
        while (before := left) != (left := _ask(cluster)) or left["links"]:  # the last groups may come late
            assert time.monotonic() < deadline, (before, left)
        # A version of Ray that removes all of them needs no core/cluster/abandoned_groups.py.
        assert OF_CHAIN in left["cpus"]
        released = _ask(cluster, "release", "end")
        assert sorted(released["cpus"]) == [OF_DRIVER, OF_DETACHED_ACTOR, DETACHED]
        amount = OF_CHAIN * left["cpus"].count(OF_CHAIN)
        assert released["said"].startswith(f"Ray still reserved {amount:g} CPU for a driver that has ended")
        assert _ask(cluster, "release")["said"] is None
    finally:
        living.kill()
        chain.kill()


def test_who_has_the_room_is_said_once(shared_ray: SharedRay) -> None:
    other, waiting = _start(shared_ray, OCCUPYING), None
    try:
        assert other.stdout
        assert other.stdout.readline() == "occupied\n"
        waiting = _start(shared_ray, WAITING)
        assert waiting.stdout
        said = waiting.stdout.readline()
        assert re.fullmatch(
            r"\[None, 'A trial waits for its place on the cluster. Other drivers use the cluster: "
            rf"process {other.pid} on [0-9.]+ has {CPUS} CPU', None\] None\n",
            said,
        ), said
        other.kill()
        printed, _ = waiting.communicate("", timeout=WITHIN_S)
        assert printed == "[None, None, None]\n"
    finally:
        other.kill()
        if waiting:
            waiting.kill()
