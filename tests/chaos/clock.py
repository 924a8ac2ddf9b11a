"""A clock that can be set wrong while a program runs (Debian's libfaketime)."""

from __future__ import annotations

from pathlib import Path

LIBRARIES = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class Clock:
    """The wall clock of programs that are started with ``environment``. Their monotonic clock stays correct.

    Args:
        file: file that contains the offset.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_off(0)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of such a program. They are empty if libfaketime is not installed."""
        if not LIBRARIES:
            return {}
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def set_off(self, seconds: int) -> None:
        """Set the clock ahead by ``seconds`` from now on."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._file)
