from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.questions.onset import compare_onsets, onset_survival, onset_time


def test_reasons_of_censoring_are_counted(record: Callable) -> None:
    records = [
        record(0, "unstable", onsets=(4,), fields={"stopped_early": True}),
        record(1, "healed", onsets=(6,), recovery_epochs=(9,)),
        record(2, "stable"),
        record(3, "censored", epochs_run=5, censor_reason="crashed: worker died"),
        record(4, "censored", epochs_run=8, censor_reason="diverged: loss is not finite"),
        record(5, None, epochs_run=3, fields={"trace": [{"epoch": e, "val/fosc": 0.1} for e in (1, 2, 3)]}),
        record(6, "unstable"),
    ]
    (cell,) = onset_survival(records)
    assert (cell.trials, cell.events, cell.silent) == (7, 2, 1)
    assert cell.censored == {"ended": 2, "crashed": 1, "diverged": 1, "running": 1}
    assert onset_time(record(7, None, epochs_run=3)).epochs == 0, "its epochs are not known"
    # With patience 2, an epoch counts as observed if the next epoch was observed, too.
    assert [onset_time(r).epochs for r in records] == [4, 6, 9, 4, 7, 2, 9]
    estimate, interval = cell.probability_by(6)
    assert estimate == pytest.approx(1 - (5 / 6) * (3 / 4))
    assert estimate in interval
    assert cell.probability_by(10)[0] is None


def test_a_running_trial_counts_with_the_onset_in_its_trace(record: Callable) -> None:
    fosc = [0.1] * 6 + [9.0, 9.0, 9.0]
    trace = [{"epoch": epoch, "val/fosc": value} for epoch, value in enumerate(fosc, start=1)]
    running = record(0, None, epochs_run=9, fields={"trace": trace})
    assert onset_time(running).epochs == 7
    assert onset_time(running).happened
    early = record(0, None, epochs_run=7, fields={"trace": trace[:7]})
    assert (onset_time(early).epochs, onset_time(early).happened, onset_time(early).reason) == (6, False, "running")


def test_cells_with_different_onsets_are_told_apart(record: Callable) -> None:
    records = [record(i, "unstable", onsets=(2 + i % 3,), cell={"beta": 1.0}) for i in range(8)]
    records += [record(i, "stable", cell={"beta": 6.0}) for i in range(8)]
    records += [record(i, "stable", cell={"beta": 9.0}) for i in range(8)]
    overall, pairs = compare_onsets(records)
    assert overall.p_value < 1e-4
    assert [pair.adjusted < 0.01 for pair in pairs] == [True, True, False]
    assert pairs[0].adjusted == pytest.approx(3 * pairs[0].p_value)


def test_one_cell_cannot_be_compared(record: Callable) -> None:
    with pytest.raises(ValueError, match="needs at least 2"):
        compare_onsets([record()])
