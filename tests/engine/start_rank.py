"""Starts `tests.engine.rank` as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start_rank(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start the program in the root of the repository, where it finds the package ``tests``."""
    return subprocess.Popen([sys.executable, "-m", "tests.engine.rank", *arguments], cwd=ROOT)
