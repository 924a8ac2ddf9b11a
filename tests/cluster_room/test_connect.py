"""The addresses at which a driver looks for its cluster."""

from __future__ import annotations

import re

import pytest

from core.cluster.connect import connect


def test_an_address_for_jobs_is_no_cluster_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(ValueError, match=r"RAY_ADDRESS http://127.0.0.1:8265: must be HOST:PORT"):
        connect(None)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "no-such-host.invalid:6379", "127.0.0.1:99999"])
@pytest.mark.timeout(30)  # Ray itself retries for 40 s.
def test_nobody_listens(address: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"--address {address}: no Ray cluster answers there")):
        connect(address)
