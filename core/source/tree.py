"""A hash of the running code's files, for places without git history, such as a Ray job's working directory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

CORE = Path(__file__).parents[1]
COMPILED = "__pycache__"


@cache
def source_tree() -> str:
    """First 12 digits of ``core``'s `tree_id`, as in ``git rev-parse --short=12 COMMIT:core`` for a clean checkout."""
    return tree_id(CORE)[:12]


def tree_id(folder: Path) -> str:
    """Git's SHA-1 of a folder of non-executable files, without ``__pycache__`` and empty folders."""
    # git sorts a folder's name as if it ended with a slash
    entries = sorted(_entries(folder), key=lambda entry: entry[1] + (b"/" if entry[0] == b"40000" else b""))
    return _object(b"tree", b"".join(mode + b" " + name + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries))


def _entries(folder: Path) -> Iterator[tuple[bytes, bytes, str]]:
    for path in folder.iterdir():
        if path.is_dir() and path.name != COMPILED and _has_files(path):
            yield b"40000", path.name.encode(), tree_id(path)
        elif path.is_file():
            yield b"100644", path.name.encode(), _object(b"blob", path.read_bytes())


def _has_files(folder: Path) -> bool:
    return any(path.is_file() and COMPILED not in path.relative_to(folder).parts for path in folder.rglob("*"))


def _object(kind: bytes, content: bytes) -> str:
    return hashlib.sha1(kind + b" " + str(len(content)).encode() + b"\0" + content, usedforsecurity=False).hexdigest()
