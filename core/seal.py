"""A checksum within a JSON file, which shows a change after the file was written."""

from __future__ import annotations

import hashlib
import re

NAME = "sha256"
_SEAL = re.compile(rb',\s*"sha256":\s*"([0-9a-f]{64})"\s*}\s*\Z')


class ChecksumError(ValueError):
    """The content of a file does not match the checksum in it."""


def sealed(json_object: str) -> bytes:
    """A JSON object with one more field at its end: the SHA-256 of the object without this field."""
    checksum = hashlib.sha256(json_object.encode()).hexdigest()
    return f'{json_object[:-1]},"{NAME}":"{checksum}"}}'.encode()


def check_seal(content: bytes) -> None:
    """Check a sealed JSON object. Objects of earlier versions have no checksum and pass.

    Raises:
        ChecksumError: the content does not match its checksum.
    """
    seal = _SEAL.search(content)
    if seal and hashlib.sha256(content[: seal.start()] + b"}").hexdigest().encode() != seal[1]:
        raise ChecksumError("its content does not match its checksum")
