from __future__ import annotations

from collections.abc import Callable

from analysis.questions.countable_trials import default_label
from analysis.questions.displayed_rates import displayed_rates
from analysis.report.answer_sentence import answer_sentence
from analysis.report.context import report_context
from analysis.report.end_of_training import end_sentence
from analysis.report.formatting import format_count
from core.records import TrialRecord


def sweep(record: Callable[..., TrialRecord], stopped: int, followed: int, healed: int) -> list[TrialRecord]:
    confirmed = {"onsets": (3,), "confirmed_epoch": 4}
    found = [record(i, "unstable", epochs_run=4, fields={"stopped_early": True}, **confirmed) for i in range(stopped)]
    for i in range(followed):
        outcome = "healed" if i < healed else "unstable"
        found.append(record(stopped + i, outcome, fields={"audit": True}, **confirmed))
    return [*found, *(record(stopped + followed + i) for i in range(2))]


def test_the_end_of_stopped_trials_is_not_guessed(record: Callable) -> None:
    records = sweep(record, stopped=5, followed=0, healed=0)
    assert default_label(records) == "ever"
    (ever,) = displayed_rates(records, "ever")
    assert (ever.unstable, ever.trials, ever.rate) == (5, 7, 5 / 7)
    (end,) = displayed_rates(records, "any")
    assert (format_count(end), end.rate) == ("0–5/7", None)
    assert end.interval.low < 1e-6
    context = report_context("s", records)
    assert "5 of 7 trials were unstable at any time" in answer_sentence(context.cells)
    assert end_sentence(context).startswith("5 trials were stopped while unstable, and might have healed.")
    assert "--audit 0.2" in end_sentence(context)


def test_audited_trials_stand_for_stopped_ones(record: Callable) -> None:
    records = sweep(record, stopped=4, followed=4, healed=1)
    (end,) = displayed_rates(records, "any")
    assert (format_count(end), end.rate, end.interval.kind) == ("3–7/10", 0.6, "melded")
    said = end_sentence(report_context("s", records))
    assert said.startswith("At the end of training, 60 % (95 % interval")
    assert "4 audited trials stand for them, of which 1 healed" in said


def test_a_sweep_that_stops_nothing_asks_for_the_end(record: Callable) -> None:
    records = [record(i, "unstable" if i else "healed", protocol={"stop": False}, onsets=(2,)) for i in range(3)]
    assert default_label(records) == "any"
    (cell,) = displayed_rates(records)
    assert (cell.unstable, cell.unknown, cell.interval.kind) == (2, 0, "blaker")
    assert end_sentence(report_context("s", records)) == ""


def test_equal_rates_at_the_end_are_one_with_the_interval_of_the_least_certain_cell(record: Callable) -> None:
    records = []
    for beta, number in ((1.0, 4), (6.0, 1)):
        unstable = sweep(record, stopped=number, followed=number, healed=0)[: 2 * number]
        of_cell = {"cell_id": f"cell{beta:g}"}
        records += [r.model_copy(update={"cell": {**r.cell, "beta": beta}, **of_cell}) for r in unstable]
    context = report_context("s", records)
    many, few = context.corrected
    assert few.interval.low < many.interval.low
    said = end_sentence(context)
    assert f"100 % in every cell (widest 95 % interval {100 * few.interval.low:.0f}–100 %) of trials" in said
