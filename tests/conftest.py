"""What holds for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread: sums are added in the same order on every machine, and small networks gain nothing from more.
os.environ["OMP_NUM_THREADS"] = "1"

pytest_plugins = ["tests.networks", "tests.servers.fixtures"]
CHAOS = Path(__file__).parent / "chaos"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``-n 2`` one process takes the chaos run while the other has Ray clusters, one after the other.

    These two take longest and come first; all others are handed out module by module.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    first = {"chaos": 0, "cluster": 1}
    items.sort(key=lambda item: first.get(_group(item), len(first)))


def _group(item: pytest.Item) -> str:
    if CHAOS in item.path.parents:
        return "chaos"
    return "cluster" if item.get_closest_marker("cluster") else str(item.path)
