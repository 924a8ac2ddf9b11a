"""The plug-in that core/README.md prints, and a fixture that lets tests load plug-ins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.config import METHODS, cell, plugins
from core.config.datasets import DATASETS
from core.config.models import MODELS

README = Path(__file__).parents[1] / "core" / "README.md"


def printed_plugin() -> str:
    """The plug-in that core/README.md prints."""
    section = README.read_text().partition("## Bring your own method")[2]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]


@pytest.fixture
def fresh() -> Iterator[Callable[[], None]]:
    """Forgets all plug-ins, as a new process does; afterwards the tables are as before the test."""
    tables = (METHODS, MODELS, DATASETS, plugins._LOADED, plugins._REGISTERED)
    before = [dict(table) for table in tables]

    def forget() -> None:
        for table, rows in zip(tables, before, strict=True):
            table.clear()
            table.update(rows)
        cell._index_options()

    yield forget
    forget()
