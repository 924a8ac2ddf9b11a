"""The time left of a job in steps, on a terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from core import steps


def test_steps_that_end_together_do_not_disturb_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(steps, "time", SimpleNamespace(monotonic=lambda: clock.now))
    shown = io.StringIO()
    with steps.Steps(Console(file=shown, force_terminal=True, width=120), "blocks", 12) as blocks:
        for _ in range(4):
            clock.now += 25
            blocks.advance()
            blocks.advance()
    assert "about 50 s left" in shown.getvalue(), "8 blocks took 100 s"
