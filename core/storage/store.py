"""A store of small files. A file is always complete: a write replaces it in one step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from core.storage.address import check_inside, is_s3, parse_s3
from core.storage.errors import CorruptFileError, StoreError
from core.storage.files import Files
from core.storage.folder import Folder
from core.storage.guarded_files import GuardedFiles
from core.storage.s3 import Bucket

DIGEST_BYTES = 32
PROBE = "probe"
"""Name of the file that `Store.probe` writes and deletes."""
NOT_EXCLUSIVE = (
    "the server replaces objects although a request asks it not to (If-None-Match; Ceph 16 does so in buckets that "
    "keep versions). Two drivers of a sweep that start at the same moment could both write for up to 15 s"
)


class Store:
    """Named files under ``root``, which is an absolute folder or ``s3://bucket/prefix``.

    A write replaces the old file in one step and is verified. `core.storage.s3.Bucket` describes the verification and
    the behaviour while a server is unreachable. Names may have parts joined by ``/`` and cannot lead out of the store.

    Raises:
        ValueError: ``root`` is neither an absolute folder nor a valid ``s3://`` address.
    """

    def __init__(self, root: str) -> None:
        self._files = open_files(root)
        self._path = ""

    @property
    def root(self) -> str:
        """The address of this store with its endpoint and region, which makes it valid on other machines."""
        place, mark, query = self._files.root.partition("?") if is_s3(self._files.root) else (self._files.root, "", "")
        return self._below(place) + mark + query

    def child(self, name: str) -> Store:
        """The store below ``name``."""
        return self._store_at(self._files, self._at(name))

    def with_retry_limit(self, seconds: float) -> Store:
        """The same store, whose requests to a server are repeated for at most ``seconds``."""
        return self._store_at(self._files.with_retry_limit(seconds), self._path)

    def guarded(self, check: Callable[[], None], patience_s: float = 0.0) -> Store:
        """The same store, which calls ``check`` before each attempt to change a file.

        Args:
            check: raises an error if the file may not be changed. The error is passed on.
            patience_s: seconds for which a change is repeated while ``check`` or the change raises UnreachableError.
        """
        return self._store_at(GuardedFiles(self._files, check, patience_s), self._path)

    def write(self, name: str, content: bytes) -> str:
        """Write ``content`` completely or not at all, and return its SHA-256.

        Raises:
            StoreError: the store refused the content, or returns other content for this name.
        """
        self._files.write(self._at(name), content)
        return hashlib.sha256(content).hexdigest()

    def create(self, name: str, content: bytes) -> bool:
        """Write ``content`` and return True; return False if the file exists already. Of several writers, one succeeds.

        The content must be unique to this writer. It decides whose file exists when the server's answer was lost. A
        server that does not know ``If-None-Match`` replaces the file and is taken to have created it.
        """
        return self._files.create(self._at(name), content)

    def read(self, name: str) -> bytes | None:
        """The content of ``name``; None if it does not exist."""
        return self._files.read(self._at(name))

    def write_sealed(self, name: str, content: bytes) -> None:
        """Write a file that consists of the SHA-256 of ``content`` and ``content`` itself."""
        self.write(name, hashlib.sha256(content).digest() + content)

    def read_sealed(self, name: str) -> bytes | None:
        """The content of a sealed file; None if it does not exist.

        Raises:
            CorruptFileError: the content does not match its checksum.
        """
        sealed = self.read(name)
        if sealed is None:
            return None
        if hashlib.sha256(sealed[DIGEST_BYTES:]).digest() != sealed[:DIGEST_BYTES]:
            raise CorruptFileError(f"{self.place(name)} is damaged: its content does not match its checksum")
        return sealed[DIGEST_BYTES:]

    def delete(self, name: str) -> None:
        """Delete ``name`` if it exists."""
        self._files.delete(self._at(name))

    def folders(self) -> list[str]:
        """Names of the stores directly below this one."""
        return self._files.list(self._path)[0]

    def names(self) -> list[str]:
        """Names of the files directly in this store."""
        return self._files.list(self._path)[1]

    def age(self, name: str) -> float | None:
        """Seconds since ``name`` was written, measured by the store's own clock; None if it does not exist."""
        return self._files.age(self._at(name))

    def read_with_age(self, name: str) -> tuple[bytes, float] | None:
        """The content of ``name`` and its age in seconds, see `age`; None if it does not exist."""
        return self._files.read_with_age(self._at(name))

    def md5(self, name: str) -> str | None:
        """MD5 of ``name`` as the store reports it; empty if the store reports none; None if ``name`` does not exist."""
        return self._files.md5(self._at(name))

    def probe(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Check the store: write, read and delete a file. No file and no folder is left behind.

        All processes use one name, so that the file of a process that was killed meanwhile is deleted by the next one.

        Args:
            say: called with a line of text if the server does not create objects exclusively.

        Raises:
            ValueError: one of these operations failed.
        """
        try:
            if not self._files.probe(self._at(PROBE)):
                say(f"Note: --storage {self.root}: {NOT_EXCLUSIVE}")
        except StoreError as error:
            raise type(error)(f"--storage {error}") from error

    def place(self, name: str) -> str:
        """The address of a file, as messages show it."""
        return self._files.at(self._at(name))

    @staticmethod
    def _store_at(files: Files, path: str) -> Store:
        store = object.__new__(Store)
        store._files, store._path = files, path
        return store

    def _at(self, name: str) -> str:
        check_inside(name)
        return f"{self._path}/{name}" if self._path else name

    def _below(self, place: str) -> str:
        return f"{place.rstrip('/')}/{self._path}" if self._path else place


def open_files(root: str) -> Files:
    """The backend for an absolute folder or an ``s3://`` address.

    Raises:
        ValueError: ``root`` is neither.
    """
    if "://" in root:
        return Bucket(parse_s3(root))
    if not Path(root).is_absolute():
        raise ValueError(f"--storage {root!r} must be an absolute path or a URI such as s3://bucket/prefix")
    return Folder(root)
