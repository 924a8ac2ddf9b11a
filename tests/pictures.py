"""Reports without the cost of their pictures, for tests of texts and numbers."""

from __future__ import annotations

import pytest


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw all pictures of a page and leave their SVG empty, which takes most of a report's time.

    `tests/analysis_report/test_html.py` and `test_figures.py` read whole pictures.
    """
    monkeypatch.setattr("analysis.report.sections.base.inline_svg", lambda figure, description: "<svg></svg>")
