"""Data sets in an S3 bucket, fetched once per machine and verified."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from core.storage import Store, StoreError
from core.storage.errors import folder_error

SUMS = "SHA256SUMS"
"""Name of the bucket's file of checksums."""
ATTEMPTS = 3
"""Downloads of a file whose checksum does not match, before an error."""


@dataclass(frozen=True)
class Checksum:
    """The checksum that a file's content must have."""

    kind: str
    """Hash function: ``sha256`` or ``md5``."""
    value: str

    def fits(self, content: bytes) -> bool:
        """True if ``content`` has this checksum."""
        return hashlib.new(self.kind, content, usedforsecurity=False).hexdigest() == self.value


def staged(uri: str, dataset: str, files: Mapping[str, str], archive: str | None = None) -> Path:
    """A local folder with verified copies of the data set's files in the bucket; missing files are fetched.

    A file's checksum is its line in the bucket's ``SHA256SUMS`` file (as ``sha256sum`` prints it), else the MD5 that
    the server reports for the object, else the published MD5. The folder lies in ``$UNMASK_CACHE`` or
    ``~/.cache/unmask`` and is named after the checksums, so that other content goes to another folder. If several
    processes start together, one fetches and the others wait for it.

    Args:
        uri: ``s3://bucket/prefix`` that holds the data sets.
        dataset: name of the data set, for messages and the folder.
        files: names inside the data folder, with their published MD5 (empty if none is published).
        archive: the zip file among ``files`` that is unpacked; None: no file is unpacked.

    Raises:
        ValueError: the bucket lacks a file or its checksum, the content does not match, or the disk has no room.
    """
    store = Store(uri)
    checksums = _checksums(store, dataset, files)
    content = hashlib.sha256(repr(sorted((name, c.value) for name, c in checksums.items())).encode()).hexdigest()
    folder = _cache() / f"{dataset}-{content[:16]}"
    if (folder / ".complete").exists():
        return folder
    with _explained_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not (folder / ".complete").exists():
                for name, checksum in checksums.items():
                    _fetch(store, name, checksum, folder)
                if archive:
                    _unpack(folder / archive, folder)
                (folder / ".complete").touch()
    return folder


def _checksums(store: Store, dataset: str, files: Mapping[str, str]) -> dict[str, Checksum]:
    listed = _listed(store.read(SUMS) or b"")
    found: dict[str, Checksum] = {}
    for name, published in files.items():
        md5 = store.md5(name)
        if md5 is None:
            raise ValueError(f"dataset {dataset} needs {name} in {store.root}, not found; upload it there")
        if name not in listed and not (md5 or published):
            raise ValueError(
                f"dataset {dataset}: {name} in {store.root} has no checksum; "
                f"put a {SUMS} file there, as `sha256sum FILES` prints it"
            )
        found[name] = Checksum("sha256", listed[name]) if name in listed else Checksum("md5", md5 or published)
    return found


def _listed(content: bytes) -> dict[str, str]:
    text = content.decode("utf-8", "replace")
    lines = (re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", line) for line in text.splitlines())
    return {line[2]: line[1] for line in lines if line}


def _fetch(store: Store, name: str, checksum: Checksum, folder: Path) -> None:
    if (folder / name).is_file():  # fetched by an earlier, interrupted process
        return
    for _ in range(ATTEMPTS):
        content = store.read(name)
        if content is not None and checksum.fits(content):
            Store(str(folder)).write(name, content)
            return
    raise ValueError(
        f"{name} from {store.root} does not have its {checksum.kind} {checksum.value} after {ATTEMPTS} downloads: "
        f"upload it again, or correct {SUMS}"
    )


def _unpack(archive: Path, folder: Path) -> None:
    draft = folder / ".unpacked"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(draft)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive.name} is no zip file: {error}") from error
    for entry in sorted(draft.iterdir()):
        entry.replace(folder / entry.name)
    draft.rmdir()
    archive.unlink()


@contextmanager
def _explained_write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise folder_error(str(folder), "write", error) from error


def _cache() -> Path:
    return Path(os.environ.get("UNMASK_CACHE") or Path.home() / ".cache" / "unmask")
