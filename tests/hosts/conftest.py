from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.network import Network, missing


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """A network without hosts. The disks of its hosts are in a folder of this test."""
    if reason := missing():
        pytest.skip(reason)
    with Network(tmp_path / "hosts") as network:
        yield network
