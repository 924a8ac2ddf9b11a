"""A sweep whose trials ran with different code, torch, processors or data is told so."""

from __future__ import annotations

from analysis.questions.mixtures import mixtures
from core.config import Cell
from core.records import TrialRecord
from tests.analysis_report.conftest import synthetic_trial

SAME = {"core": "c0de", "torch": "2.15", "hardware": "A", "data": "d0", "commit": "1", "host": "h"}


def trial(seed: int, cell: Cell, *attempts: dict[str, str]) -> TrialRecord:
    parts = tuple({**SAME, **attempt} for attempt in attempts or ({},))
    record = synthetic_trial(cell, seed, sweep="s", epochs=12)
    return record.model_copy(update={"provenance": parts[-1], "took_part": parts[:-1]})


def test_equal_trials_mix_nothing_whatever_their_host_and_commit() -> None:
    cell = Cell.from_flat({"epochs": 12})
    assert mixtures([trial(0, cell), trial(1, cell, {"host": "other", "commit": "2"})]) == []


def test_each_difference_is_named_with_its_trials_and_attempts() -> None:
    cell = Cell.from_flat({"epochs": 12})
    records = [trial(0, cell), trial(1, cell, {}, {"torch": "2.11"}), trial(2, cell, {"data": "d1"})]
    assert mixtures(records) == [
        "The trials of this sweep mix versions of torch: 2.15 (3 trials), 2.11 (1 trial); "
        "1 trial changed between attempts.",
        "The trials of this sweep mix versions of the same data: d0 (2 trials), d1 (1 trial).",
    ]


def test_cells_with_different_data_are_no_mixture() -> None:
    cells = [Cell.from_flat({"dataset": name, "epochs": 12}) for name in ("digits", "fields")]
    assert mixtures([trial(0, cells[0]), trial(0, cells[1], {"data": "d1"})]) == []
