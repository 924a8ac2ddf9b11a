"""The main table contains the rates in every format."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess

import pytest
from rich.console import Console

from analysis.questions.rates import cell_rates
from analysis.report.tables.cells_export import escape_latex, render
from analysis.report.tables.cells_table import main_table
from core.records import Evidence, Measurement


@pytest.fixture
def cells(make_sweep):
    return cell_rates(make_sweep(censor_every=7, heal_every=5, audit_every=4, running_last=3), "any", 0.95, "anytime")


def test_csv_parsed_back_equals_the_rates(cells):
    rows = list(csv.DictReader(io.StringIO(render(cells, "csv"))))
    assert len(rows) == len(cells) == 9
    for row, cell in zip(rows, cells, strict=True):
        assert (float(row["beta"]), int(row["batch_size"])) == (cell.factors["beta"], cell.factors["batch_size"])
        assert (row["cell"], row["label"], row["interval_kind"]) == (cell.cell_id, "any", "anytime")
        for field in ("unstable", "trials", "censored", "running", "healed", "stopped", "epochs_run", "epochs_saved"):
            assert int(row[field]) == getattr(cell, field)
        for field in ("rate", "clean_accuracy", "pgd10_accuracy", "pgd50_accuracy", "square_accuracy", "gap"):
            assert float(row[field]) == getattr(cell, field)
        assert float(row["device_seconds"]) == cell.device_seconds
        assert float(row["device_seconds_saved"]) == cell.device_seconds_saved
        assert (float(row["interval_low"]), float(row["interval_high"])) == (cell.interval.low, cell.interval.high)


def test_csv_leaves_unknown_numbers_empty(make_sweep):
    cells = cell_rates(make_sweep(seeds=1, running_last=9))
    row = next(csv.DictReader(io.StringIO(render(cells, "csv"))))
    assert row["rate"] == row["clean_accuracy"] == ""
    assert row["running"] == "1"


def test_terminal_shows_every_cell_whole_at_100_columns(cells):
    console = Console(width=100, file=io.StringIO(), legacy_windows=False)
    console.print(main_table(cells))
    text = console.file.getvalue()
    assert "…" not in text
    for cell in cells:
        low, high = round(100 * cell.interval.low), round(100 * cell.interval.high)
        rate = f"{100 * cell.rate:.0f} % [{low}–{high}]"
        line = next(line for line in text.splitlines() if rate in line and f"{cell.factors['batch_size']} " in line)
        assert f"{cell.unstable}/{cell.trials}" in line
        assert f"{cell.epochs_run} ({cell.epochs_saved})" in line


def with_autoattack(record, gap):
    """The record with an evaluation in which accuracy under AutoAttack is lower by `gap` than under PGD-10."""
    accuracies = {"clean": 0.5, "pgd-10": 0.25, "autoattack": 0.25 - gap}
    measured = tuple(Measurement(attack=a, accuracy=v, images=100, split="test") for a, v in accuracies.items())
    evidence = Evidence(checkpoint="selected", epoch=1, measurements=measured)
    return record.model_copy(update={"evaluations": (evidence,)})


def test_the_gap_to_autoattack_is_shown_once_there_are_evaluations(make_sweep):
    records = make_sweep(betas=(1, 3), batch_sizes=(64, 256), seeds=3)
    for form in ("csv", "latex", "markdown"):
        assert "autoattack" not in render(cell_rates(records), form).lower()
    gaps = {(1, 0): 0.01, (1, 1): 0.02, (1, 2): 0.06, (3, 0): 0.1, (3, 1): 0.2}
    cells = cell_rates(
        [
            with_autoattack(r, gaps[key])
            if (key := (r.cell["beta"], r.seed)) in gaps and r.cell["batch_size"] == 64
            else r
            for r in records
        ]
    )
    shown = ["3.0 ± 2.6", "–", "15.0 ± 7.1 (2)", "–"]
    lines = render(cells, "markdown").splitlines()
    column = lines[0].split(" | ").index("AA gap")
    assert [line.split(" | ")[column] for line in lines[2:6]] == shown
    assert r"15.0 $\pm$ 7.1 (2)" in render(cells, "latex")
    rows = list(csv.DictReader(io.StringIO(render(cells, "csv"))))
    assert [row["autoattack_trials"] for row in rows] == ["3", "0", "2", "0"]
    assert float(rows[0]["autoattack_gap"]) == pytest.approx(0.03)
    assert float(rows[0]["autoattack_accuracy_sd"]) == float(rows[0]["autoattack_gap_sd"])
    assert float(rows[2]["autoattack_gap_sd"]) == pytest.approx(0.1 / 2**0.5)
    assert float(rows[2]["autoattack_accuracy"]) == pytest.approx(0.1)
    assert rows[1]["autoattack_gap"] == ""
    console = Console(width=100, file=io.StringIO(), legacy_windows=False)
    console.print(main_table(cells))
    assert "…" not in console.file.getvalue()
    assert "± 7.1" in console.file.getvalue()


def test_terminal_folds_long_factors_and_keeps_numbers(make_sweep):
    cells = cell_rates(make_sweep(seeds=2, betas=(1, 3), batch_sizes=(64,)))
    long = [
        type(cell)(**{**vars(cell), "factors": {"model": "wrn-34-10-with-a-name-nobody-wants", **cell.factors}})
        for cell in cells
    ]
    console = Console(width=100, file=io.StringIO())
    console.print(main_table(long))
    assert "…" not in console.file.getvalue()


def test_markup_in_a_name_is_printed_as_it_stands(make_sweep):
    cell = cell_rates(make_sweep(seeds=1, betas=(1,), batch_sizes=(64, 128)))[0]
    named = [type(cell)(**{**vars(cell), "factors": {"name": name}}) for name in ("[red]x[/red]", "y")]
    console = Console(width=120, file=io.StringIO())
    console.print(main_table(named))
    assert "[red]x[/red]" in console.file.getvalue()


def test_markdown_has_as_many_fields_in_every_row(cells):
    named = [type(c)(**{**vars(c), "factors": {"model": "a|b<c", **c.factors}}) for c in cells]
    lines = [line for line in render(named, "markdown").splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(cells)
    assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "a\\|b&lt;c" in lines[2]


@pytest.mark.parametrize(
    "text, escaped",
    [
        ("batch_size", r"batch\_size"),
        ("95 %", r"95 \%"),
        (r"a\b", r"a\textbackslash{}b"),
        ("{x}", r"\{x\}"),
        ("$&#", r"\$\&\#"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("<1–2>", r"\textless{}1--2\textgreater{}"),
    ],
)
def test_latex_escapes(text, escaped):
    assert escape_latex(text) == escaped


def test_latex_rows_have_one_column_each(cells):
    text = render(cells, "latex")
    columns = re.search(r"\\begin\{tabular\}\{(l+r+)\}", text)[1]
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(cells)
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns)}
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(cells, tmp_path):
    body = render(cells, "latex")
    source = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}" + body + "\\end{document}"
    (tmp_path / "t.tex").write_text(source)
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True)


def test_no_cell_at_all():
    assert "No trial yet" in render([], "markdown")
    assert render([], "csv").startswith("cell,label")


def test_unknown_format_names_what_is_allowed(cells):
    with pytest.raises(ValueError, match="format 'html' must be one of csv, latex, markdown"):
        render(cells, "html")
