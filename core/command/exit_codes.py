"""How every job ends: its exit code, and the message of an error that the user can mend."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

DONE, FAILED, BAD_INPUT, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 130


def run_job(job: Callable[[], int]) -> int:
    """What ``job`` returns; if it raises for a reason that the user can mend, one message on stderr instead.

    1: a file failed; 2: bad input, or a store that does not work (`core.storage.StoreError` is a ValueError);
    130: Ctrl-C, or SIGTERM, which is how a Ray job is stopped.
    """
    try:
        with interruptible():
            return job()
    except ValueError as error:
        print_error(error)
        return BAD_INPUT
    except OSError as error:
        print_error(error)
        return FAILED
    except KeyboardInterrupt:
        Console(stderr=True).print("Interrupted; nothing is lost, run the same command again.", highlight=False)
        return INTERRUPTED


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM interrupt as Ctrl-C does, and Ctrl-C also where SIGINT is ignored: in a script's background."""
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: lambda *_: os.kill(os.getpid(), signal.SIGINT),
    }
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def print_error(error: Exception) -> None:
    """Print one message on stderr, without a traceback: the reader can mend the cause, not the code."""
    text = str(error) or type(error).__name__
    Console(stderr=True).print(f"[red]error:[/red] {escape(text)}", highlight=False, soft_wrap=True)
