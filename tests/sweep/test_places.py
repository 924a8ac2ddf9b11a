"""Folders of one driver, and of those that were killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core.sweep.places import scratch_folder

HOLD = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from core.sweep.places import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_killed_drivers_scratch_folder_is_removed_by_the_next_and_a_living_ones_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parents[2]}
    killed, alive = (subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], **pipes) for _ in range(2))
    left, kept = (Path(process.stdout.readline().strip()) for process in (killed, alive))
    killed.kill()
    killed.communicate()
    assert left.exists()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder() as mine:
        assert not left.exists()
        assert {mine, kept} == set(tmp_path.iterdir())
    alive.communicate()
    assert not list(tmp_path.iterdir())
