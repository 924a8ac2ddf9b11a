"""How every job ends."""

from __future__ import annotations

from collections.abc import Callable

from core.command.complaint import complain

DONE, FAILED, BAD_INPUT, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130


def exit_code(job: Callable[[], int]) -> int:
    """What ``job`` returns; if it raises for a reason that the user can mend, one message on stderr instead.

    1: a file failed; 2: bad input, or a store that does not work (`core.storage.StoreError` is a ValueError).
    """
    try:
        return job()
    except ValueError as error:
        complain(error)
        return BAD_INPUT
    except OSError as error:
        complain(error)
        return FAILED
