"""Entries that the store answered with an error every time: set aside, tried again when the sweep ends."""

from __future__ import annotations

import json
from pathlib import Path

from core.tracking.journal import Entry, Journal

# A late change of status would overwrite a newer one; what the others carry is right at any time.
_TIMELESS = ("epochs", "finish", "artifact")


class Rejected:
    """A file of entries beside the journal, so that one bad entry does not hold up all others."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "rejected.jsonl"

    def add(self, entry: Entry, reason: str) -> None:
        """Set an entry aside."""
        with self._file.open("a") as file:
            file.write(json.dumps({**entry, "reason": reason}) + "\n")

    def requeue(self, journal: Journal) -> None:
        """Put the entries at the end of the journal again."""
        if not self._file.exists():
            return
        for line in self._file.read_bytes().splitlines():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):  # the half line of a crash: the journal still has that entry
                continue
            if isinstance(entry, dict) and entry.get("kind") in _TIMELESS:
                journal.append({name: value for name, value in entry.items() if name not in ("n", "_end", "reason")})
        self._file.unlink()

    @property
    def count(self) -> int:
        """Entries set aside."""
        return len(self._file.read_bytes().splitlines()) if self._file.exists() else 0
