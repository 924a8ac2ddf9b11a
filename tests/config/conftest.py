from __future__ import annotations

from pathlib import Path

import pytest

import jobs


@pytest.fixture
def presets() -> Path:
    """The folder of the presets that come with the project."""
    return Path(jobs.__file__).parent / "presets"
