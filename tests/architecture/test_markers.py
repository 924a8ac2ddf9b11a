"""Markers of tests stand where `.ci/run` looks for them."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_only_files_with_tests_name_markers() -> None:
    """`.ci/run` searches the text of these files. A marker that is imported from another file would not be found."""
    named = re.compile(r"pytest\.mark\.(slow|cluster|server|browser|numeric)\b")
    files = [file for file in TESTS.rglob("*.py") if named.search(file.read_text())]
    assert len(files) > 50
    assert [str(file) for file in files if not file.name.startswith("test_")] == []
