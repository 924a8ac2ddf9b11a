"""The page in a real browser: no horizontal scrolling, all pictures shown, no requests, no errors."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from analysis.report.context import report_context
from analysis.report.html_page import write_report
from analysis.report.options import ReportOptions

from .chromium import CHROMIUM, browse

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]
# A frame can have any width. A headless window has at least 500 px.
PROBE = """<!doctype html><body style="margin:0">
<iframe id="page" src="report.html" style="border:0;height:900px"></iframe>
<pre id="out"></pre><script>
const frame = document.getElementById("page");
const lines = [];
frame.onload = () => {
  for (const width of [1400, 400]) {
    frame.style.width = width + "px";
    const page = frame.contentDocument, root = page.documentElement;
    const wide = [...page.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg")
      && e.getBoundingClientRect().right > width + 0.5).map(e => e.tagName + "." + e.className);
    const pictures = [...page.querySelectorAll("figure svg")].map(e => Math.round(e.getBoundingClientRect().width));
    const small = Math.min(...[...page.querySelectorAll("figure svg text")]
      .map(e => parseFloat(getComputedStyle(e).fontSize) * Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b)));
    lines.push([width, root.scrollWidth, wide.join(","), Math.min(...pictures), Math.max(...pictures),
      small.toFixed(2)].join("|"));
  }
  const hidden = () => [...frame.contentDocument.querySelectorAll("tr[data-outcome]")]
    .filter(e => e.offsetParent === null).length;
  const before = hidden();
  frame.contentDocument.getElementById("only-unstable").checked = true;
  lines.push(["filter", before, hidden(),
    frame.contentDocument.querySelectorAll("tr[data-outcome]:not([data-outcome=unstable])").length].join("|"));
  lines.push(["requests", frame.contentWindow.performance.getEntriesByType("resource").length].join("|"));
  document.getElementById("out").textContent = lines.join(";");
};
</script></body>"""


@pytest.fixture(scope="module")
def measured(make_sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    # The page has a wide heat map, long names and all kinds of sections.
    records = make_sweep(
        betas=(0.5, 1, 3, 6),
        batch_sizes=(16, 32, 64, 128, 256),
        seeds=2,
        censor_every=9,
        heal_every=7,
        audit_every=5,
        gradients_every=4,
        running_last=2,
    )
    name = "a_sweep_with_quite_a_long_name_that_nothing_breaks_2026-01-02"
    links = {record.key: "http://127.0.0.1:5000/#/runs/1" for record in records}
    context = replace(report_context(name, records, ReportOptions(interval="anytime")), links=links)
    write_report(context, folder / "report.html", generated_at=datetime(2026, 1, 2, tzinfo=UTC))
    (folder / "probe.html").write_text(PROBE)
    dumped = browse(
        folder,
        "--allow-file-access-from-files",
        "--virtual-time-budget=20000",
        "--dump-dom",
        f"file://{folder}/probe.html",
    )
    found = re.search(r'<pre id="out">([^<]+)</pre>', dumped)
    assert found, dumped[-2000:]
    return dict(line.split("|", 1) for line in found[1].replace("&gt;", ">").split(";"))


@pytest.mark.parametrize("width", [1400, 400])
def test_page_fits_its_window(measured, width):
    scroll_width, wide, narrowest, widest, smallest_text = measured[str(width)].split("|")
    assert int(scroll_width) == width
    assert wide == ""
    assert 300 < int(narrowest) <= int(widest) <= width
    assert float(smallest_text) >= 8, "pixels: axis labels stay legible on a phone"


def test_filter_shows_only_the_chosen_outcome(measured):
    hidden_before, hidden, others = map(int, measured["filter"].split("|"))
    assert hidden_before == 0
    assert hidden == others > 0


def test_nothing_is_requested(measured):
    assert measured["requests"] == "0"
