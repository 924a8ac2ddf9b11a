"""Errors of stores."""

from __future__ import annotations

import errno
import os

from core.temporary import TemporaryError

FULL = (errno.ENOSPC, errno.EDQUOT)


class StoreError(OSError, ValueError):
    """A store operation failed. The message is one line with the file, the operation and the reason.

    The error is also a ValueError, because commands report a ValueError as one line about bad input, and a store that
    does not work must be reported in the same way.
    """


class UnreachableError(StoreError, TemporaryError):
    """The server of a store does not answer, or asks to be asked later."""


class CorruptFileError(RuntimeError):
    """The content of a stored file does not match its checksum."""


def folder_error(where: str, action: str, error: OSError) -> StoreError:
    """The error for a local file operation that failed."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        reason = f"the disk is full ({os.strerror(error.errno)}); free some space and run the same command again"
    return StoreError(f"{where}: cannot {action} it: {reason}")
