"""Configuration of all tests."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

# Another command may keep the machine busy, and then an example takes any time.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# One thread unless the environment says otherwise: small networks gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Imports and collection make millions of objects that stay. The garbage collector would search through them, which
# takes a fifth of the collection's time.
gc.disable()

pytest_plugins = [
    "tests.networks",
    "tests.pictures",
    "tests.plugin_tables",
    "tests.servers.fixtures",
    "tests.stored_sweeps",
]

QUICK = "not slow and not cluster and not server and not browser"
"""Selection of tests if `pytest` gets neither a path nor `-m`."""


def pytest_configure(config: pytest.Config) -> None:
    """Select the quick tests, unless the command line selects tests."""
    if not config.option.markexpr and config.args_source != pytest.Config.ArgsSource.ARGS:
        config.option.markexpr = QUICK


def pytest_collection_finish() -> None:
    """Let the garbage collector search through what the tests make."""
    gc.enable()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Number of processes without `-n`: two for the quick tests, otherwise none, because of `-s` and servers."""
    chosen = config.option.markexpr or config.args_source == pytest.Config.ArgsSource.ARGS
    return 0 if chosen else 2
