"""What holds for all tests."""

from __future__ import annotations

import os

# One thread: sums are added in the same order on every machine, and small networks gain nothing from more.
os.environ["OMP_NUM_THREADS"] = "1"

pytest_plugins = ["tests.networks", "tests.servers.fixtures", "tests.stored_sweeps"]
