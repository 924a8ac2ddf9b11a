"""What can be wrong with a store."""

from __future__ import annotations

import errno
import os

FULL = (errno.ENOSPC, errno.EDQUOT)


class StoreError(OSError, ValueError):
    """A store can't do what it was asked; the message is one line that says where, what and why.

    Also a ValueError: wherever a command says that its input is bad, a store that does not work is said in one line.
    """


class CorruptFileError(RuntimeError):
    """A stored file's content does not match its checksum."""


def folder_error(where: str, action: str, error: OSError) -> StoreError:
    """The error for a local file that can't be read or written."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        reason = f"the disk is full ({os.strerror(error.errno)}); free some space and run the same command again"
    return StoreError(f"{where}: cannot {action} it: {reason}")
