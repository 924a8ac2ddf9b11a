"""Sections about another sweep, about what to do next, and about networks to use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from analysis.report.context import ReportContext, report_context
from analysis.report.options import ReportOptions
from analysis.report.sections.against import against_sections
from analysis.report.sections.checkpoints import checkpoint_sections
from analysis.report.sections.next_steps import next_sections
from analysis.statistics.rate_difference import difference_ends
from core.config import Cell
from core.records import TrialRecord

Make = Callable[..., TrialRecord]


@pytest.fixture(scope="module")
def sweep(make_trial: Make) -> Callable[..., ReportContext]:
    def make(name: str, unstable: int, **options: object) -> ReportContext:
        cells = [Cell.from_flat({"beta": beta, "epochs": 30, **options}) for beta in (1, 6)]
        trials = [make_trial(cell, seed, epochs=30, probability=seed < unstable) for cell in cells for seed in range(6)]
        return report_context(name, trials, ReportOptions(label="ever"))

    return make


def test_another_sweep_stands_beside_this_one(sweep: Callable[..., ReportContext]) -> None:
    here, there = sweep("mine", 6), sweep("other", 0, method="mart")
    (section,) = against_sections(replace(here, against=there))
    assert section.title == "Comparison with other"
    assert "method trades (there: mart)" in section.text
    assert "Protocols differ in: nothing." in section.text
    (table,) = section.tables
    assert [row[:2] for row in table.rows] == [["beta=1", "different"], ["beta=6", "different"]]
    low, high = difference_ends((6, 6), (0, 6))
    assert table.rows[0][-2] == f"{100 * low:+.0f} to {100 * high:+.0f}"
    assert against_sections(here) == []


def test_sweeps_without_a_common_cell_are_not_compared(sweep: Callable[..., ReportContext]) -> None:
    here, there = sweep("mine", 6), sweep("other", 0)
    apart = {r.key: r.model_copy(update={"cell": {**r.cell, "beta": 10 * r.cell["beta"]}}) for r in there.records}
    other = report_context("other", list(apart.values()), ReportOptions(label="ever"))
    (section,) = against_sections(replace(here, against=other))
    assert section.text.endswith("No cell of mine has a counterpart in other.")
    assert "pairs" not in section.text
    assert not section.tables


def test_a_repeated_sweep_is_said_to_be_no_independent_evidence(sweep: Callable[..., ReportContext]) -> None:
    (section,) = against_sections(replace(sweep("mine", 3), against=sweep("again", 3)))
    assert "12 trials of the two sweeps have the same cell and seed" in section.note


def test_next_steps_name_the_seeds_that_are_missing(sweep: Callable[..., ReportContext]) -> None:
    (section,) = next_sections(sweep("mine", 3))
    commands = [command for _, command in section.tables[0].rows]
    (seeds,) = [int(c.split("--seeds ")[1].split()[0]) for c in commands if "--seeds " in c]
    assert 6 < seeds < 40, "at half of the trials, an interval of 40 points needs more than 6 and fewer than 40 seeds"
    assert any(command.startswith("python jobs/evaluate.py --sweep mine") for command in commands)


def test_networks_are_chosen_by_validation_accuracy(sweep: Callable[..., ReportContext]) -> None:
    context = sweep("mine", 2)
    stored = [r.model_copy(update={"checkpoints": {"selected.pt": "0"}}) for r in context.records]
    (section,) = checkpoint_sections(replace(context, records=stored))
    rows = section.tables[0].rows
    scores = [float(row[1]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    unstable = {f"beta={beta} seed={seed}" for beta in (1, 6) for seed in (0, 1)}
    assert not unstable & {row[0] for row in rows}
    assert checkpoint_sections(context) == [] or all("selected.pt" in row[-1] for row in rows)
