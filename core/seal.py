"""A checksum within a JSON file, which shows a change after the file was written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection

NAME = "sha256"
_SEAL = re.compile(rb',\s*"sha256":\s*"([0-9a-f]{64})"\s*}\s*\Z')


class ChecksumError(ValueError):
    """The content of a file does not match the checksum in it."""


def sealed(json_object: str) -> bytes:
    """A JSON object with one more field at its end: the SHA-256 of the object without this field."""
    checksum = hashlib.sha256(json_object.encode()).hexdigest()
    return f'{json_object[:-1]},"{NAME}":"{checksum}"}}'.encode()


def is_sealed(content: bytes) -> bool:
    """True if the last field of a JSON object is a checksum, which may be wrong."""
    return _SEAL.search(content) is not None


def check_seal(content: bytes, sealed_with: str = "") -> None:
    """Check a sealed JSON object. Objects of earlier versions have no checksum and pass.

    Args:
        content: the bytes of the file.
        sealed_with: a field that no version without checksums wrote into such files. An object with this field needs a
            checksum.

    Raises:
        ChecksumError: the content does not match its checksum, or it was written again by a program that does not know
            checksums.
    """
    seal = _SEAL.search(content)
    if seal is None:
        fields = _fields(content)
        if NAME in fields:
            raise ChecksumError("its checksum is not its last field: it was changed after it was written")
        if sealed_with in fields:
            raise ChecksumError("its checksum is missing: it was changed after it was written")
    elif hashlib.sha256(content[: seal.start()] + b"}").hexdigest().encode() != seal[1]:
        raise ChecksumError("its content does not match its checksum")


def _fields(content: bytes) -> Collection[str]:
    """The names of a JSON object's fields; none if the content is no JSON object, which its reader notices."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return ()
    return found if isinstance(found, dict) else ()
