"""Exit codes of all jobs, and the message of an error that the user can correct."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from core import temporary
from core.redaction import without_secrets
from core.temporary import TemporaryError

DONE, FAILED, BAD_INPUT, INCOMPLETE, TEMPORARY, INTERRUPTED = 0, 1, 2, 3, temporary.EXIT_CODE, 130
ALL_CRASH, OVER_BUDGET = 5, 6
"""Codes of a sweep that its driver has stopped: it should not be started again before its cause is removed."""


def run_job(job: Callable[[], int]) -> int:
    """Run ``job`` and return its exit code. An error that the user can correct becomes one message on stderr.

    Exit codes of errors: 1 if a file could not be read or written (OSError), or if the program that reads the output
    has ended; 2 for bad input, or for storage that does not work (`core.storage.StoreError` is a ValueError); 4 if a
    server was away for too long or another driver has the sweep (`core.temporary.TemporaryError`); 130 after Ctrl-C, or
    after SIGTERM, by which Ray stops a job.
    """
    try:
        with interruptible():
            return job()
    except TemporaryError as error:
        print_error(error)
        return TEMPORARY
    except ValueError as error:
        print_error(error)
        return BAD_INPUT
    except BrokenPipeError:
        if _has_reader(sys.stdout.fileno()):
            raise  # another pipe or connection is broken, which must not end the job without a word
        # The program that reads the output, such as `head`, has ended. Python would fail again when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        print_error(error)
        return FAILED
    except KeyboardInterrupt:
        Console(stderr=True).print("Interrupted; nothing is lost, run the same command again.", highlight=False)
        return INTERRUPTED


def _has_reader(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return not any(event & select.POLLERR for _, event in poll.poll(0))


@contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGTERM raise KeyboardInterrupt, as Ctrl-C does.

    The handler of SIGINT is set as well, because a shell script starts background commands with SIGINT ignored.
    """
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
    """Print one message on stderr, without a traceback, because the cause is not in the code, and without secrets."""
    text = without_secrets(str(error) or type(error).__name__)
    Console(stderr=True).print(f"[red]error:[/red] {escape(text)}", highlight=False, soft_wrap=True, emoji=False)
