"""Processes that a test has started, directly or not, found by an environment variable, which processes inherit."""

from __future__ import annotations

import contextlib

import psutil


def marked(mark: str, value: str, title: str = "") -> list[psutil.Process]:
    """Live processes with ``mark=value`` in their environment and ``title`` in their command line."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = process.environ().get(mark) == value
            if mine and title in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill_marked(mark: str, value: str) -> None:
    """Kill all processes with ``mark=value`` in their environment."""
    for process in marked(mark, value):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
