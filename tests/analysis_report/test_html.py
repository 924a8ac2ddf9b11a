"""The page is self-contained, small, safe against markup in names, and works for sweeps in any state."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from rich.console import Console

from analysis.questions.countable_trials import countable_trials
from analysis.questions.rates import cell_rates
from analysis.report.context import ReportContext
from analysis.report.html_page import whole_options, write_report
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from analysis.report.terminal_section import section_for_terminal
from core.config import Cell
from core.records import Rows

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
UI = "http://127.0.0.1:5000"


def links_to(records):
    """An address for each trial, which contains its key instead of a run's id."""
    return {record.key: f"{UI}/#/runs/{record.key}" for record in records}


class Page(HTMLParser):
    """A parser that collects tags and visible text, and checks that every tag is closed."""

    VOID = frozenset({"meta", "input", "br", "path", "use"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"

    def write(records, **options):
        defaults = {"sweep": "a sweep", "interval": "blaker", "label": "ever"}
        context = ReportContext(records=records, counted=countable_trials(records)[0], **(defaults | options))
        return write_report(context, path, generated_at=WHEN).read_text(encoding="utf-8")

    return write


@pytest.fixture(scope="module")
def whole(make_sweep):
    """A sweep with trials of every kind."""
    return make_sweep(seeds=3, censor_every=7, heal_every=5, audit_every=4, gradients_every=3, running_last=2)


@pytest.fixture(scope="module")
def text(report, whole):
    """The page of this sweep."""
    return report(whole, links=links_to(whole))


def test_page_is_well_formed_and_asks_nothing_of_the_network(text):
    page = Page(text)
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "img", "base", "form"}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attributes.get(name) or "#"
            allowed = value.startswith(("#", "data:image/png;base64,")) or (tag == "a" and value.startswith(UI))
            assert allowed, (tag, name, value[:80])
    outside = re.findall(r"(?:https?:)?//[^\s\"'<>)]+|@import|url\((?!#)[^)]*\)", re.sub(r"base64,[^\"]*", "", text))
    assert {address for address in outside if not address.startswith(UI)} == set()


def test_every_trial_is_listed_with_its_run(text, whole):
    page = Page(text)
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a" and "#/runs/" in attributes["href"]]
    assert sorted(links) == sorted(links_to(whole).values())
    rows = [attributes["data-outcome"] for tag, attributes in page.tags if "data-outcome" in attributes]
    expected = [record.verdict.outcome if record.verdict else "running" for record in whole]
    assert sorted(rows) == sorted(expected)
    assert "diverged: loss is not finite" in page.text


def test_address_must_be_a_web_address(report):
    with pytest.raises(ValueError, match="link 'javascript:alert"):
        report([], links={"key": "javascript:alert(1)//"})


def test_heat_map_shows_every_cell_s_count_and_interval(text, whole):
    heat_map = re.search(r'<table class="heat".*?</table>', text, re.DOTALL)[0]
    page = Page(heat_map)
    cells = cell_rates(whole, "ever", 0.95, "blaker")
    assert len(re.findall(r"<td", heat_map)) == len(cells)
    for cell in cells:
        low, high = round(100 * cell.interval.low), round(100 * cell.interval.high)
        assert f"{cell.unstable}/{cell.trials}" in page.text
        assert f"[{low}–{high}]" in page.text
    assert page.text.count("censored") == sum(cell.censored > 0 for cell in cells) > 0


@pytest.mark.slow
def test_under_one_megabyte_at_500_trials_of_200_epochs(report, make_sweep):
    records = make_sweep(
        seeds=56, epochs=200, censor_every=17, heal_every=11, audit_every=5, gradients_every=50, running_last=9
    )
    assert len(records) > 500
    assert len(report(records, links=links_to(records)).encode()) < 1_000_000


@pytest.mark.parametrize("width", [110, 200])
def test_a_section_s_table_is_whole_on_a_terminal_of_any_width(width):
    attacks = [f"ATTACK-{i}" for i in range(8)]
    rows = [["1", "3/4", *(f"0.{i}{i}{i}{i} ± 0.0{i}{i}{i}" for i in range(8))]]
    table = TextTable(["beta", "unstable / trials", *attacks], rows, caption="All of it.")
    console = Console(width=width, file=io.StringIO(), legacy_windows=False)
    console.print(*section_for_terminal(Section("x", "Title", "Text.", tables=[table])), sep="\n")
    words = console.file.getvalue().split()
    for wanted in [
        "beta",
        "3/4",
        *attacks,
        *(f"0.{i}{i}{i}{i}" for i in range(8)),
        *(f"0.0{i}{i}{i}" for i in range(8)),
    ]:
        assert wanted in words


EVIL = '"><script>alert(1)</script>'


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:constrained_layout")  # Names of this length leave no room for a picture.
def test_names_cannot_inject_markup(report, make_trial):
    flat = Cell.from_flat({"epochs": 30}).flat()
    records = []
    for number, seed in enumerate((0, 0, 1, 1, 2, 2)):
        trial = make_trial(
            Cell.from_flat({"epochs": 30}), seed, epochs=30, probability=number % 2, gradients=True, audit=True
        )
        evil = {"model": f"{EVIL}{number % 2}", "norm": EVIL, EVIL: 1, "dataset": f"$x_{number % 2}${EVIL}"}
        records.append(
            trial.model_copy(
                update={
                    "sweep": EVIL,
                    "cell_id": f"{EVIL}{number % 2}",
                    "cell": {**flat, **evil},
                    "provenance": {EVIL: EVIL},
                    "protocol": {**trial.protocol, EVIL: EVIL},
                    "status": "finished",
                }
            )
        )
    crashed = records[0].verdict.model_copy(update={"outcome": "censored", "censor_reason": f"crashed: {EVIL}"})
    records.append(records[0].model_copy(update={"verdict": crashed, "seed": 9}))
    text = report(records, sweep=EVIL, links=links_to(records))
    assert "<script" not in text
    assert '"><' + "script" not in text
    page = Page(text)
    assert page.open == []
    assert EVIL in page.text


def running(make_trial, *, epochs_run):
    trial = make_trial(Cell.from_flat({}), 0, running=max(1, epochs_run))
    return trial if epochs_run else trial.model_copy(update={"trace": Rows(), "epochs_run": 0})


@pytest.mark.parametrize(
    "case, said",
    [
        ("nothing", "No trial counts yet: 0 running, 0 censored."),
        ("not one epoch", "No trial counts yet: 1 running, 0 censored."),
        ("one running", "No trial counts yet: 1 running, 0 censored."),
        ("all running", "No trial counts yet: 9 running, 0 censored."),
        ("all censored", "No trial counts yet: 0 running, 9 censored."),
        ("one trial", "of 1 trials were unstable at any time"),
        ("one cell", "of 5 trials were unstable at any time"),
        pytest.param("one factor", "of 6 trials were unstable at any time", marks=pytest.mark.slow),
        pytest.param("no sgcs", "of 18 trials were unstable at any time", marks=pytest.mark.slow),
        pytest.param("half done", "So far, with 9 trials still running", marks=pytest.mark.slow),
    ],
)
def test_works_on_what_is_there(report, make_sweep, make_trial, case, said):
    records = {
        "nothing": list,
        "not one epoch": lambda: [running(make_trial, epochs_run=0)],
        "one running": lambda: [running(make_trial, epochs_run=7)],
        "all running": lambda: make_sweep(seeds=1, running_last=9),
        "all censored": lambda: make_sweep(seeds=1, censor_every=1),
        "one trial": lambda: [make_trial(Cell.from_flat({}), 0)],
        "one cell": lambda: make_sweep(betas=(1,), batch_sizes=(64,), seeds=5),
        "one factor": lambda: make_sweep(betas=(1, 3), batch_sizes=(64,), seeds=3),
        "no sgcs": lambda: make_sweep(seeds=2, sgcs=False),
        "half done": lambda: make_sweep(seeds=2, running_last=9),
    }[case]()
    page = Page(report(records))
    assert page.open == []
    assert said in page.text
    assert "Comparison with the paper" not in page.text
    assert not any("#/runs/" in (attributes.get("href") or "") for _, attributes in page.tags), "no address was given"
    assert case == "no sgcs" or not records or "SGCS" in page.text or not records[0].trace


@pytest.mark.slow
def test_paper_s_cells_stand_beside_ours(report, make_sweep):
    paper_setup = {"dataset": "cifar100", "model": "resnet18", "augment": "crop-flip"}
    records = make_sweep(betas=(3,), batch_sizes=(256, 512), seeds=4, epochs=20, **paper_setup)
    page = Page(report(records))
    assert "Comparison with the paper" in page.text
    assert "7/10 [35–93 %]" in page.text, "Table 2, beta 3, batch size 256"


def test_the_top_says_what_all_cells_share(text, whole):
    shared = re.search(r"All cells: ([^<]*)<", text)[1]
    assert "method=trades" in shared
    assert "dataset=" in shared
    assert "beta=" not in shared, "beta varies"


def test_no_line_ends_within_an_option():
    assert whole_options("a <b>, --no-stop and x--y") == ('a &lt;b&gt;, <span class="whole">--no-stop</span> and x--y')


def test_commands_stand_below_their_questions_on_a_phone(text):
    following = text.split('id="next"')[1].split("</section>")[0]
    assert '<table class="stacked">' in following
    assert text.count('class="stacked"') == 1, "tables of numbers scroll"
