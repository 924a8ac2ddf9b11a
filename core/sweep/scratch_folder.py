"""The folder in which Ray Tune and Ray Train keep their own state during one run of a driver."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.storage.process_identity import started_at, this_machine


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what Tune and Train write about themselves, which is not needed afterwards.

    Those that killed drivers left on this machine are removed.
    """
    prefix = f"unmask-{this_machine()}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        if not started_at(int(left.name.removeprefix(prefix).partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
