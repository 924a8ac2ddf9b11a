"""The temporary folder for the state of Ray Tune and Ray Train during one run of a driver."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.storage.process_identity import started_at, temporary_prefix


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder for the files of Tune and Train, which are not needed after the run.

    Temporary folders that killed drivers left on this machine are deleted.
    """
    prefix = temporary_prefix()
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        pid = left.name.removeprefix(prefix).partition("-")[0]
        if pid.isdecimal() and not started_at(int(pid)):  # any user may make a folder of another name here
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
