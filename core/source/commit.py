"""The commit of the running code."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from core.source.tree import source_tree

COMMIT_VARIABLE = "UNMASK_COMMIT"
COMMIT = re.compile(r"[0-9A-Za-z._-]{1,64}")


@cache
def git_commit() -> str:
    """Commit of the running code, with ``-dirty`` if tracked files differ from it.

    If the code is not a git checkout (an installation, a Ray job's working directory), the result is the value of
    ``UNMASK_COMMIT``, or else ``core-tree-`` and `source_tree`: this hash differs between versions of the code, and git
    can find the commit by it.

    Raises:
        ValueError: ``UNMASK_COMMIT`` is not a possible name of a commit.
    """
    described = described_commit(Path(__file__))
    if described:
        return described
    named = os.environ.get(COMMIT_VARIABLE)
    if named and not COMMIT.fullmatch(named):
        raise ValueError(f"{COMMIT_VARIABLE}={named!r} must match {COMMIT.pattern}, such as 543adb562c98")
    return named or f"core-tree-{source_tree()}"


def described_commit(file: Path) -> str | None:
    """``git describe`` of the checkout that tracks ``file``; None if no checkout does."""

    def git(*command: str) -> str:
        done = subprocess.run(["git", *command], cwd=file.parent, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        # The code may lie in another project's checkout, for example in its virtual environment.
        git("ls-files", "--error-unmatch", file.name)
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None
