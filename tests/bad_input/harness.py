"""Runs a job's entry point like the command line does, and checks that its error messages are clear."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("UNMASK_BAD_INPUT_FACTOR", "1"))
"""Number of cases per test, as a multiple of the number in CI. Above 1 every run draws new cases."""
JARGON = (
    *("Traceback", "pydantic", "validation error", "<class", "object at 0x", "tokenize", "errno"),
    *("input should", "value error", "field required"),
)


class Ended(NamedTuple):
    """Exit code and output of a command. Its uncaught exceptions are not caught here and fail the test."""

    code: int
    out: str
    error: str

    @property
    def message(self) -> str:
        """The error output in one line, without the boxes and line breaks of the terminal."""
        return " ".join(self.error.replace("│", " ").split())


def cases(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Settings for ``count`` cases. CI always uses the same cases, so that its failures are reproducible."""
    return settings(
        max_examples=count * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    )


def run(main: Callable[[list[str]], int], args: Sequence[str]) -> Ended:
    """Run a job in this process."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = main(list(args))
        except SystemExit as ended:  # The flag parser ends this way.
            code = ended.code if isinstance(ended.code, int) else 1
    return Ended(code, out.getvalue(), error.getvalue())


def assert_refused(ended: Ended, *named: str, code: int = 2) -> None:
    """Check for the exit code and one readable message that names every option of ``named``, in any spelling."""
    assert ended.code == code, ended
    message = ended.message
    assert message, ended
    assert not [word for word in JARGON if word.lower() in message.lower()], message
    assert len(message) < 3000, message
    for option in named:
        assert mentions(message, option), (option, message)


def mentions(message: str, option: str) -> bool:
    """True if the message names the option as ``--batch-size``, ``batch_size`` or ``batch size``."""
    pattern = re.sub("[-_]", "[-_ ]", re.escape(option.lstrip("-")).replace(r"\-", "-"))
    return re.search(rf"(?<![A-Za-z]){pattern}(?![A-Za-z])", message) is not None


def snapshot(folder: Path) -> Mapping[str, bytes]:
    """The names and contents of all files in a folder. Links and special files have only a name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        found[path.relative_to(folder).as_posix()] = path.read_bytes() if plain else b""
    return found
