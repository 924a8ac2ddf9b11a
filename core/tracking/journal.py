"""An append-only queue on disk: what the tracking server has not confirmed yet survives any crash of the driver."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
SEGMENT_BYTES = 4_000_000
PREFIX = "journal-"
MAX_ENTRIES = 10**19
_logger = logging.getLogger(__name__)


class Journal:
    """Numbered JSON lines in segment files; a segment is deleted once all its entries are confirmed.

    Entries that `append` returned for are read again after a crash until `confirm` was called with their number. A
    line that a crash cut in half was never returned for, and is dropped. Safe for one appending and one reading
    thread; one process at a time.

    Args:
        folder: where the files live; created if missing.

    Raises:
        ValueError: another process has the journal open.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._mutex = threading.Lock()
        self._lock_file = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock_file.close()
            raise ValueError(f"another process is writing the tracking journal {folder}; stop that driver") from None
        self._confirmed = self._read_confirmed()
        self._last = self._confirmed
        for segment in self._segments():
            _drop_half_line(segment)
            self._last = max(self._last, _first_number(segment) - 1, *(entry["n"] for entry in _read(segment)))
        self._output = self._open_segment()
        self._size = sum(segment.stat().st_size for segment in self._segments())
        self._read_from = (_first_number(path) if (path := next(self._segments(), None)) else self._last + 1, 0)

    def append(self, entry: Entry, durable: bool = True) -> None:
        """Add an entry. ``durable``: it survives a power cut, not only the death of this process.

        Raises:
            OSError: the disk is full; the journal is as it was before.
        """
        with self._mutex:
            line = json.dumps({"n": self._last + 1, **entry}).encode() + b"\n"
            before = os.fstat(self._output.fileno()).st_size
            try:
                if self._output.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
                if durable:
                    os.fsync(self._output.fileno())
            except OSError:
                self._output.truncate(before)
                raise
            self._last += 1
            self._size += len(line)
            if before + len(line) > SEGMENT_BYTES:
                self._output.close()
                self._output = self._open_segment()

    def pending(self, limit: int) -> list[Entry]:
        """The first ``limit`` entries that are not confirmed, in order, each with its number ``n``."""
        found: list[Entry] = []
        with self._mutex:
            first, offset = self._read_from
            for segment in self._segments():
                if _first_number(segment) < first:
                    continue
                for entry in _read(segment, offset if _first_number(segment) == first else 0):
                    if entry["n"] > self._confirmed:
                        found.append(entry)
                    if len(found) == limit:
                        return found
            if not found:
                self._confirmed = self._last  # what remains, if anything, is unreadable
        return found

    def confirm(self, entry: Entry) -> None:
        """All entries up to and including this one are stored: forget them."""
        with self._mutex:
            if self._output.closed:  # the writer's last request came back after its deadline
                return
            self._confirmed = entry["n"]
            (self.folder / "confirmed").write_text(f"{self._confirmed:020d}\n")
            self._read_from = entry["_end"]
            for segment in self._segments():
                if _first_number(segment) < self._read_from[0]:
                    self._size -= segment.stat().st_size
                    segment.unlink()

    @property
    def left(self) -> int:
        """Entries that are not confirmed."""
        return self._last - self._confirmed

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._size

    def close(self) -> None:
        """Release the files; what is not confirmed stays."""
        with self._mutex:
            self._output.close()
            if not self.left:
                for segment in self._segments():
                    segment.unlink()
            self._lock_file.close()

    def _segments(self) -> Iterator[Path]:
        found = self.folder.glob(f"{PREFIX}*.jsonl")
        return iter(sorted(path for path in found if re.fullmatch("[0-9]{20}", path.stem.removeprefix(PREFIX))))

    def _open_segment(self) -> Any:
        segment = (self.folder / f"{PREFIX}{self._last + 1:020d}.jsonl").open("ab", buffering=0)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)  # a synced file whose name is lost in a power cut is lost too
        os.close(folder)
        return segment

    def _read_confirmed(self) -> int:
        try:
            content = (self.folder / "confirmed").read_bytes()
        except FileNotFoundError:
            return 0
        # cut by a crash: replaying everything is harmless
        return int(content) if re.fullmatch(rb"[0-9]{20}\n", content) else 0


def _first_number(segment: Path) -> int:
    return int(segment.stem.removeprefix(PREFIX))


def _read(segment: Path, offset: int = 0) -> Iterator[Entry]:
    first = _first_number(segment)
    with segment.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            offset += len(line)
            try:
                entry = json.loads(line)
                if not 0 < int(entry["n"]) < MAX_ENTRIES:
                    raise ValueError("not a number that this journal gives")
                yield {**entry, "n": int(entry["n"]), "_end": (first, offset)}
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                _logger.warning("unreadable line before byte %d of %s skipped", offset, segment)


def _drop_half_line(segment: Path) -> None:
    content = segment.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        with segment.open("r+b") as file:
            file.truncate(end)
