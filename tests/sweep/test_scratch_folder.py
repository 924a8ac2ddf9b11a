"""The driver's temporary folder, among files of any name that any user may make."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core.storage.process_identity import this_machine
from core.sweep.scratch_folder import scratch_folder


def test_files_of_others_stop_nothing_and_a_killed_drivers_folder_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    prefix = f"unmask-{this_machine()}-"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, running = tmp_path / f"{prefix}{ended.pid}-a", tmp_path / f"{prefix}{os.getpid()}-b"
    odd = [tmp_path / f"{prefix}{name}" for name in ("x", "", "²-x", "-1-x", f"{'9' * 200}-x", "7\n-x")]
    for folder in (left, running, *odd[:4]):
        folder.mkdir()
    odd[4].symlink_to(running)
    odd[5].touch()
    with scratch_folder() as scratch:
        assert scratch.is_dir()
        assert scratch.stat().st_mode & 0o077 == 0
    assert not left.exists()
    assert running.is_dir()
    assert not scratch.exists()
