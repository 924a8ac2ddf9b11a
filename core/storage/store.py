"""Small files under one root that are either whole or not there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Protocol

from core.storage.address import check_inside, is_s3, parse_s3
from core.storage.errors import CorruptFileError, StoreError
from core.storage.folder import Folder
from core.storage.process_identity import this_machine
from core.storage.s3 import Bucket

DIGEST_BYTES = 32


class Files(Protocol):
    """Where files are: `core.storage.folder.Folder` or `core.storage.s3.Bucket`. Paths are relative to ``root``.

    Every method raises StoreError where the file system or the server can't do it.
    """

    root: str

    def at(self, path: str) -> str: ...
    def patient(self, seconds: float) -> Files: ...
    def read(self, path: str) -> bytes | None: ...
    def write(self, path: str, content: bytes) -> None: ...
    def create(self, path: str, content: bytes) -> bool: ...
    def delete(self, path: str) -> None: ...
    def list(self, path: str) -> tuple[list[str], list[str]]: ...
    def age(self, path: str) -> float | None: ...
    def md5(self, path: str) -> str | None: ...
    def probe(self, path: str) -> None: ...


class Store:
    """Files by name under ``root``: an absolute folder, or ``s3://bucket/prefix``.

    A write replaces the old file in one step and is verified; see `core.storage.s3.Bucket` for how, and for what
    happens while a server is away. Names may have parts joined by ``/`` and can't lead out of the store.

    Raises:
        ValueError: the root is neither.
    """

    def __init__(self, root: str) -> None:
        self._files = open_files(root)
        self._path = ""

    @property
    def root(self) -> str:
        """The address of this very store, endpoint and region included: it means the same on other machines."""
        place, mark, query = self._files.root.partition("?") if is_s3(self._files.root) else (self._files.root, "", "")
        return self._below(place) + mark + query

    def child(self, name: str) -> Store:
        """The store below ``name``."""
        return self._like(self._files, self._at(name))

    def patient(self, seconds: float) -> Store:
        """The same store, whose server may be away no longer than this before it is an error."""
        return self._like(self._files.patient(seconds), self._path)

    def write(self, name: str, content: bytes) -> str:
        """Store ``content`` whole or not at all, and return its SHA-256.

        Raises:
            StoreError: the store refused, or what it kept is not what was sent.
        """
        self._files.write(self._at(name), content)
        return hashlib.sha256(content).hexdigest()

    def create(self, name: str, content: bytes) -> bool:
        """Store ``content`` unless there is such a file; False if there is. Of several writers, one succeeds.

        The content must be this writer's alone: a server's lost answer is told by it from another writer's success.
        """
        return self._files.create(self._at(name), content)

    def read(self, name: str) -> bytes | None:
        """Content of ``name``, or None if it does not exist."""
        return self._files.read(self._at(name))

    def write_sealed(self, name: str, content: bytes) -> None:
        """Store ``content`` behind its SHA-256."""
        self.write(name, hashlib.sha256(content).digest() + content)

    def read_sealed(self, name: str) -> bytes | None:
        """Content of a sealed file, or None if it does not exist.

        Raises:
            CorruptFileError: the content does not match its checksum.
        """
        sealed = self.read(name)
        if sealed is None:
            return None
        if hashlib.sha256(sealed[DIGEST_BYTES:]).digest() != sealed[:DIGEST_BYTES]:
            raise CorruptFileError(f"{self._shown(name)} is damaged: its content does not match its checksum")
        return sealed[DIGEST_BYTES:]

    def delete(self, name: str) -> None:
        """Remove ``name`` if it exists."""
        self._files.delete(self._at(name))

    def folders(self) -> list[str]:
        """Names of the stores directly below this one."""
        return self._files.list(self._path)[0]

    def names(self) -> list[str]:
        """Names of the files directly in this store."""
        return self._files.list(self._path)[1]

    def age(self, name: str) -> float | None:
        """Seconds since ``name`` was written, by the store's own clock; None if it does not exist."""
        return self._files.age(self._at(name))

    def md5(self, name: str) -> str | None:
        """MD5 of ``name`` by the store's own account, empty if it doesn't know; None if it does not exist."""
        return self._files.md5(self._at(name))

    def probe(self) -> None:
        """Write, read and delete a file; nothing stays, not even a folder.

        Raises:
            ValueError: it did not work; the message says what did not.
        """
        name = f"probe-{this_machine()}-{os.getpid()}"
        try:
            self._files.probe(self._at(name))
        except StoreError as error:
            raise ValueError(f"--storage {error}") from error

    @staticmethod
    def _like(files: Files, path: str) -> Store:
        store = object.__new__(Store)
        store._files, store._path = files, path
        return store

    def _at(self, name: str) -> str:
        check_inside(name)
        return f"{self._path}/{name}" if self._path else name

    def _below(self, place: str) -> str:
        return f"{place.rstrip('/')}/{self._path}" if self._path else place

    def _shown(self, name: str) -> str:
        return self._files.at(self._at(name))


def open_files(root: str) -> Files:
    """The files under an absolute folder or an ``s3://`` address.

    Raises:
        ValueError: it is neither.
    """
    if "://" in root:
        return Bucket(parse_s3(root))
    if not Path(root).is_absolute():
        raise ValueError(f"--storage {root!r} must be an absolute path or a URI such as s3://bucket/prefix")
    return Folder(root)
