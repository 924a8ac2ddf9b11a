"""Small files under one root that are either whole or not there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pyarrow import fs

DIGEST_BYTES = 32


class CorruptFileError(RuntimeError):
    """A stored file's content does not match its checksum."""


class Store:
    """Files by name under ``root``: an absolute folder, or a URI such as ``s3://bucket/prefix``.

    A write replaces the old file in one step. In an object store it is read back, because such a store may refuse an
    upload that the client reports as done.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        if "://" in self.root:
            self._fs, self._base = fs.FileSystem.from_uri(self.root)
        else:
            if not Path(self.root).is_absolute():
                raise ValueError(f"--storage {root!r} must be an absolute path or a URI such as s3://bucket/prefix")
            self._fs, self._base = fs.LocalFileSystem(), self.root

    def child(self, name: str) -> Store:
        """The store below ``name``."""
        path, _, query = self.root.partition("?")
        return Store(f"{path}/{name}" + (f"?{query}" if query else ""))

    def write(self, name: str, content: bytes) -> str:
        """Store ``content`` whole or not at all, and return its SHA-256.

        Raises:
            OSError: the store refused, or what it kept is not what was sent.
        """
        path = f"{self._base}/{name}"
        if isinstance(self._fs, fs.LocalFileSystem):
            _replace_file(Path(path), content)
        else:
            with self._fs.open_output_stream(path) as stream:
                stream.write(content)
            if self.read(name) != content:
                raise OSError(f"{self.root}/{name}: the store did not keep what was written")
        return hashlib.sha256(content).hexdigest()

    def read(self, name: str) -> bytes | None:
        """Content of ``name``, or None if it does not exist."""
        try:
            with self._fs.open_input_stream(f"{self._base}/{name}") as stream:
                return stream.read()
        except FileNotFoundError:
            return None

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
            raise CorruptFileError(f"{self.root}/{name} is damaged: its content does not match its checksum")
        return sealed[DIGEST_BYTES:]

    def delete(self, name: str) -> None:
        """Remove ``name`` if it exists."""
        path = f"{self._base}/{name}"
        if self._fs.get_file_info(path).type != fs.FileType.NotFound:
            self._fs.delete_file(path)

    def folders(self) -> list[str]:
        """Names of the stores directly below this one."""
        selector = fs.FileSelector(self._base, allow_not_found=True)
        return sorted(info.base_name for info in self._fs.get_file_info(selector) if info.type == fs.FileType.Directory)

    def probe(self) -> None:
        """Write, read and delete a file.

        Raises:
            ValueError: it did not work; the message says what did not.
        """
        name = f".probe-{os.getpid()}"
        try:
            self.write(name, b"unmask")
            self.delete(name)
        except OSError as error:
            raise ValueError(f"--storage {self.root}: cannot write, read back and delete there ({error})") from error


def _replace_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
