from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.network import Network, missing


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """An empty network; its hosts' disks are in a folder that only this test has."""
    if reason := missing():
        pytest.skip(reason)
    with Network(tmp_path / "hosts") as network:
        yield network
