"""A clock that can be set wrong while a program runs (Debian's libfaketime)."""

from __future__ import annotations

from pathlib import Path

LIBRARIES = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class Clock:
    """The wall clock of programs that are started with ``environment``; their monotonic clock stays right.

    Args:
        file: where the offset is kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_off(0)

    @property
    def environment(self) -> dict[str, str]:
        """What such a program needs; empty where libfaketime is not installed."""
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
        """From now on the clock is ``seconds`` ahead."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._file)
