"""Files in a folder of a local or shared file system."""

from __future__ import annotations

import glob
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.storage.errors import folder_error
from core.storage.process_identity import started_at, this_machine

ABANDONED_AFTER_S = 3600
"""Age in seconds after which a draft of another machine is deleted."""


class Folder:
    """Files below ``root``. A write creates a draft beside the file and renames the draft once it is on the disk."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or "/"

    def at(self, path: str) -> str:
        """The full path of a file, as messages show it."""
        return f"{self.root}/{path}" if path else self.root

    def with_retry_limit(self, seconds: float) -> Folder:
        """The same folder, because operations of a file system are not repeated."""
        return self

    def read(self, path: str) -> bytes | None:
        """The content of the file; None if there is no such file."""
        with _explained(self.at(path), "read"):
            try:
                return Path(self.at(path)).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, path: str, content: bytes) -> None:
        """Write the file, or replace it in one step."""
        with _explained(self.at(path), "write"), _draft(Path(self.at(path)), content) as draft:
            draft.replace(self.at(path))

    def create(self, path: str, content: bytes) -> bool:
        """Write the file and return True; return False if the file exists already."""
        with _explained(self.at(path), "write"), _draft(Path(self.at(path)), content) as draft:
            try:
                os.link(draft, self.at(path))
            except FileExistsError:
                return False
            return True

    def delete(self, path: str) -> None:
        """Delete the file if it exists, and the drafts that killed writers left beside it."""
        file = Path(self.at(path))
        with _explained(str(file), "delete"):
            file.unlink(missing_ok=True)
            _drop_abandoned(file)

    def list(self, path: str) -> tuple[list[str], list[str]]:
        """Sorted names of the folders and of the files directly below ``path``, without drafts."""
        with _explained(self.at(path), "list"):
            try:
                found = sorted(Path(self.at(path)).iterdir())
            except FileNotFoundError:
                return [], []
            folders = [entry.name for entry in found if entry.is_dir()]
            return folders, [e.name for e in found if e.is_file() and not e.name.startswith(".")]

    def age(self, path: str) -> float | None:
        """Seconds since the file was written, measured by the file system's clock; None if there is no such file."""
        file = Path(self.at(path))
        clock = _draft_of(file)
        with _explained(str(file), "read"):
            try:
                written = file.stat().st_mtime
                clock.touch()
                return clock.stat().st_mtime - written
            except FileNotFoundError:
                return None
            finally:
                clock.unlink(missing_ok=True)

    def read_with_age(self, path: str) -> tuple[bytes, float] | None:
        """The content of the file and its age, see `age`; None if there is no such file."""
        age = self.age(path)  # A file that is replaced meanwhile may seem older than it is, but never younger.
        content = self.read(path)
        return None if content is None or age is None else (content, age)

    def md5(self, path: str) -> str | None:
        """MD5 of the file; None if there is no such file."""
        content = self.read(path)
        return None if content is None else hashlib.md5(content, usedforsecurity=False).hexdigest()

    def probe(self, path: str) -> bool:
        """Write, read and delete a file, and remove the folders that were created for it.

        Returns:
            True, because `create` never replaces a file.
        """
        file = Path(self.at(path))
        new = [folder for folder in file.parents if not folder.exists()]
        try:
            self.write(path, b"unmask")
            self.read(path)
            self.delete(path)
        finally:
            for folder in new:
                try:
                    folder.rmdir()
                except OSError:
                    break
        return True


@contextmanager
def _explained(where: str, action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise folder_error(where, action, error) from error


@contextmanager
def _draft(file: Path, content: bytes) -> Iterator[Path]:
    """Write ``content`` to a draft beside ``file``; the draft is deleted at the end if it still has its name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _drop_abandoned(file)
    draft = _draft_of(file)
    try:
        with draft.open("wb") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _draft_of(file: Path) -> Path:
    return file.with_name(f".{file.name}.{this_machine()}-{os.getpid()}-{threading.get_native_id()}")


def _drop_abandoned(file: Path) -> None:
    """Delete drafts of killed writers: those of this machine at once, those of other machines when they are old."""
    for draft in file.parent.glob(f".{glob.escape(file.name)}.*-*-*"):
        machine, pid, _ = draft.name.removeprefix(f".{file.name}.").split("-", 2)
        here = machine == this_machine() and pid.isdecimal()
        try:
            old = time.time() - draft.stat().st_mtime > ABANDONED_AFTER_S
            if (here and not started_at(int(pid))) or old:
                draft.unlink(missing_ok=True)
        except OSError:  # another process has deleted the draft already
            continue
