"""Checks of paths, names and command lines in the README files."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.command.help_page import read_flags
from core.command.request import read_request
from core.config import Cell, ProtocolOptions, SeededCell, Sweep
from core.config.methods.registry import METHODS
from core.ledger.ledger import Ledger
from core.records import TrialRecord, Verdict
from core.storage import Store
from core.sweep.trial_plan import fixed_trials
from jobs import (
    benchmark,
    check,
    coverage,
    device_benchmark,
    evaluate,
    export,
    report,
    status,
    sweep_trades,
    sync_mlflow,
)
from tests.plugin_tables import printed_plugin

ROOT = Path(__file__).resolve().parents[2]
PRESETS = ROOT / "jobs" / "presets"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("[acjt]*/**/README.md")])
MAX_WORDS = 900

READERS: dict[str, Callable[[list[str]], object]] = {
    "sweep_trades": lambda args: read_request(args, PRESETS, ""),
    "status": status.read_request,
    "report": report.read_request,
    "evaluate": lambda args: evaluate.read_options(read_flags(evaluate.GROUPS, args, "", evaluate.MOST_USED)),
    "export": export.read_request,
    "sync_mlflow": sync_mlflow.read_request,
    "coverage": lambda args: read_flags(coverage.GROUPS, args, ""),
    "check": check.read_request,
    "benchmark": benchmark.read_request,
    "device_benchmark": device_benchmark.read_request,
}
"""Reads a job's arguments, and raises ValueError or SystemExit for wrong ones."""


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


FENCE = re.compile(r"^```\w*\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4,}(.*)\n", re.MULTILINE)


def code_of(text: str) -> Iterator[str]:
    """Code in fences, indented lines and running text. A backslash at the end of a line continues it."""
    text = text.replace("\\\n", " ")
    for fence in FENCE.findall(text):
        yield from fence.splitlines()
    text = FENCE.sub("", text)
    yield from INDENTED.findall(text)
    yield from inline_code(text)


def inline_code(text: str) -> list[str]:
    """Code between backticks in running text."""
    return [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", INDENTED.sub("", FENCE.sub("", text)))]


def job_commands() -> list[tuple[str, str, list[str]]]:
    """(page, job, arguments) of every ``python jobs/JOB.py ...`` of the pages."""
    found = []
    for page in PAGES:
        for line in dict.fromkeys(code_of(page.read_text())):
            for job, arguments in re.findall(r"python jobs/(\w+)\.py([^\n]*)", line):
                plain = re.split(r" >|&&|;", arguments)[0]
                found.append((page_id(page), job, shlex.split(plain, comments=True)))
    return found


@pytest.fixture
def folder_of_a_user(tmp_path, monkeypatch, fresh):
    """A current folder with finished sweeps ``quick`` and ``at``, and the preset and plug-in that the READMEs print."""
    for name in ("UNMASK_STORAGE", "MLFLOW_TRACKING_URI", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(printed_preset())
    (tmp_path / "my_method.py").write_text(printed_plugin())
    cell = Cell.from_flat({"beta": 1, "batch_size": 16})
    finish(Sweep(name="quick", preset="quick", entries=(SeededCell(cell=cell, seeds=1),), protocol=ProtocolOptions()))
    finish(read_request(["--preset", "mine.yaml", "--method", "pgd-at", "--name", "at"], PRESETS, "").sweep)
    return tmp_path


def finish(sweep: Sweep) -> None:
    """Store records of all trials of a sweep."""
    ledger = Ledger(Store(str(Path("results").resolve())).child(sweep.name), sweep.name)
    ledger.enter(sweep)
    for trial in fixed_trials(sweep):
        ledger.write(
            TrialRecord(
                sweep=sweep.name,
                **trial.record_fields(),
                protocol=sweep.protocol.model_dump(mode="json"),
                verdict=Verdict(outcome="unstable", onset=True),
                epochs_run=50,
                checkpoints={"selected.pt": "0" * 64},
            )
        )


def printed_preset() -> str:
    found = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "jobs" / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return found[0]


def test_the_front_page_is_read_in_five_minutes():
    assert len((ROOT / "README.md").read_text().split()) <= MAX_WORDS


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target}: there is no {file}"
        if anchor:
            assert anchor in anchors(file.read_text()), f"{target}: {file.name} has no such heading"


def anchors(text: str) -> set[str]:
    """Anchors of the headings, by GitHub's rules."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_named_files_exist(page):
    """All named files exist, except new files that a recipe tells a reader to write."""
    there = re.sub(r"new file `[^`]*`", "", page.read_text())
    named = re.findall(r"`((?:core|analysis|jobs|tests)/[\w./-]+)`", there)
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize(("page", "job", "arguments"), job_commands(), ids=lambda value: str(value)[:60])
def test_commands_are_understood(page, job, arguments, folder_of_a_user):
    try:
        READERS[job](arguments)
    except (ValueError, SystemExit) as error:
        pytest.fail(f"{page}: {job}.py {shlex.join(arguments)}: {error}")


def test_every_job_is_shown():
    shown = {job for _, job, _ in job_commands()}
    assert shown == {path.stem for path in (ROOT / "jobs").glob("[a-z]*.py")}


def test_every_preset_is_named_and_every_named_preset_exists():
    known = {path.stem for path in PRESETS.glob("*.yaml")}
    named = {}
    for page in ("README.md", "jobs/README.md"):
        rows = re.findall(r"^\| (`[^|]*) \|", section(page, "Presets"), re.MULTILINE)
        named[page] = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert named["jobs/README.md"] == known
    assert named["README.md"] <= known


def section(page: str, heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)^## ", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def flags() -> set[str]:
    """All flags of all jobs, from their help pages."""
    shown = io.StringIO()
    for job in (sweep_trades, status, report, evaluate, export, sync_mlflow, check, benchmark, device_benchmark):
        with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
            job.main(["--help", "all"])
    return set(re.findall(r"--[a-z][a-z0-9-]*", shown.getvalue()))


@pytest.mark.parametrize("page", ["README.md", "jobs/README.md", "analysis/README.md"])
def test_named_options_exist(page, flags):
    codes = [code for code in inline_code((ROOT / page).read_text()) if code.startswith("--")]
    named = {flag for code in codes for flag in re.findall(r"--[a-z][a-z0-9-]*", code)}
    assert named <= flags


def test_python_examples_import_what_exists():
    for page in PAGES:
        for module, names in re.findall(r"^from ([\w.]+) import ([\w, ]+)$", page.read_text(), re.MULTILINE):
            if module.split(".")[0] in ("core", "analysis", "jobs"):
                for name in names.split(", "):
                    assert hasattr(importlib.import_module(module), name), f"{page_id(page)}: {module}.{name}"


def test_the_picture_is_small():
    assert (ROOT / ".github" / "report.png").stat().st_size < 200_000


def test_every_training_method_is_in_the_table_of_methods() -> None:
    table = (ROOT / "jobs" / "README.md").read_text().partition("## Training methods")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert named == METHODS.keys()
