"""A clock that can be set wrong while a program runs (Debian's libfaketime)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

LIBRARIES = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
SLEEP = Path(__file__).with_name("monotonic_sleep.c")


def missing() -> str | None:
    """The reason why clocks cannot be set wrong on this machine, or None."""
    if not LIBRARIES:
        return "needs libfaketime, from Debian's package faketime"
    return None if shutil.which("cc") else "needs a C compiler, such as Debian's package g++"


class Clock:
    """The wall clock of programs that are started with ``environment``. Their monotonic clock stays correct.

    Args:
        file: file that contains the offset. The library that the programs need is compiled beside it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._sleep = file.with_suffix(".so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(self._sleep), str(SLEEP)], check=True)
        self.set_off(0)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of such a program."""
        return {
            "LD_PRELOAD": f"{self._sleep}:{LIBRARIES[0]}",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Otherwise waits until a time of the monotonic clock end at once, and Python's threads spin for their lock.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "FAKETIME_DONT_RESET": "1",
        }

    def set_off(self, seconds: int) -> None:
        """Set the clock ahead by ``seconds`` from now on. Programs notice it within a second."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._file)


class Clocks(dict[str, Clock]):
    """Clocks by name, whose files are in ``folder``."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, name: str) -> Clock:
        self[name] = Clock(self._folder / f"clock-{name}")
        return self[name]
