"""The error of an operation that may succeed when it is repeated later."""

from __future__ import annotations

EXIT_CODE = 4
"""Exit code of a job that ended with a `TemporaryError`: the same command may succeed later."""


class TemporaryError(ValueError):
    """A server does not answer, or another process has what this one needs. Nothing in the request is wrong.

    The error is a ValueError, because commands report a ValueError as one line.
    """
