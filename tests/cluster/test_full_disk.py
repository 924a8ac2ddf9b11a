"""A disk that becomes full during a sweep costs only the running trials, and is reported in one line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import LIMIT_S, Sweep

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk"),
]


@pytest.fixture
def small_disk(sweep: Sweep) -> Iterator[Path]:
    """A disk of 1 MB for the results of the sweep."""
    results = sweep.folder / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(results)], check=True)
    yield results
    subprocess.run(["umount", "-l", str(results)], check=True)


def test_a_full_disk_is_a_clear_error_and_space_lets_the_sweep_go_on(sweep: Sweep, small_disk: Path) -> None:
    options = ("--name", "tiny", "--seeds", "2", "--epochs", "12", "--max-concurrent", "1")
    driver = sweep.start(*options)
    sweep.wait_for(lambda: len(sweep.records("tiny")) == 1)
    before = sweep.records("tiny")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while free := os.statvfs(small_disk).f_bavail:
            file.write(bytes(free * os.statvfs(small_disk).f_bsize))
    assert driver.wait(timeout=LIMIT_S) in (2, 3), sweep.text
    assert "the disk is full (No space left on device)" in sweep.text
    assert "Traceback" not in sweep.text
    after = sweep.records("tiny")
    assert {key: after[key] for key in before} == before
    filler.unlink()
    sweep.run(*options)
    records = sweep.records("tiny")
    assert len(records) == 2
    assert {key: records[key] for key in before} == before
    assert all(len(record["trace"]) == 12 for record in records.values())
    left = [path.name for path in small_disk.rglob("*") if path.name.startswith(".") or path.name == "resume.ckpt"]
    assert left == []
