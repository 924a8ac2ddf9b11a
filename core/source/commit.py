"""The commit that the code is from."""

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
    """Commit of the code, with ``-dirty`` if tracked files differ from it.

    Where the code is no checkout (an installation, a Ray job's working directory), what ``UNMASK_COMMIT`` says, or else
    ``core-tree-`` and `source_tree`, which tells two different codes apart and by which git finds the commit again.

    Raises:
        ValueError: ``UNMASK_COMMIT`` can't be a commit.
    """
    described = described_commit(Path(__file__))
    if described:
        return described
    told = os.environ.get(COMMIT_VARIABLE)
    if told and not COMMIT.fullmatch(told):
        raise ValueError(f"{COMMIT_VARIABLE}={told!r} must match {COMMIT.pattern}, such as 543adb562c98")
    return told or f"core-tree-{source_tree()}"


def described_commit(file: Path) -> str | None:
    """``git describe`` of the checkout that ``file`` is tracked in; None if there is none."""

    def git(*command: str) -> str:
        done = subprocess.run(["git", *command], cwd=file.parent, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        # a virtual environment, or a home folder, may lie in the checkout of something else
        git("ls-files", "--error-unmatch", file.name)
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None
