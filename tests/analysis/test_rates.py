from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.questions.rates import cell_rates, varying_factors


def test_cells_are_counted_by_hand(record: Callable, evidence: Callable) -> None:
    seen = (
        evidence("alarm", "validation", pgd_10=0.9, square=0.1),
        evidence("last", pgd_10=0.8, square=0.1),
        evidence(clean=0.5, pgd_10=0.3, pgd_50x5=0.29, square=0.2),
    )
    stopped = {"stopped_early": True, "device_seconds": 30.0}
    records = [
        record(0, "unstable", onsets=(2,), epochs_run=4, evidence=seen, fields=stopped),
        record(1, "healed", onsets=(3,), evidence=(evidence(clean=0.7, pgd_10=0.4, square=0.4),)),
        record(2, "stable"),
        record(3, "censored", epochs_run=5, censor_reason="crashed: killed"),
        record(4, None, epochs_run=6),
        record(0, "stable", cell={"beta": 0.5}),
    ]
    half, default = cell_rates(records)
    assert [half.factors, default.factors] == [{"beta": 0.5}, {"beta": 3.0}]
    assert (default.unstable, default.trials, default.censored, default.running) == (1, 3, 1, 1)
    assert (default.healed, default.stopped, default.rate) == (1, 1, pytest.approx(1 / 3))
    assert (default.clean_accuracy, default.pgd10_accuracy) == pytest.approx((0.6, 0.35))
    assert (default.pgd50_accuracy, default.square_accuracy, default.gap) == pytest.approx((0.29, 0.3, 0.05))
    assert (default.epochs_run, default.epochs_saved) == (35, 6)
    assert (default.device_seconds, default.device_seconds_saved) == pytest.approx((30.0, 45.0))
    assert half.clean_accuracy is None
    assert half.gap is None


def test_every_label_counts_what_it_asks_for(record: Callable) -> None:
    records = [
        record(0, "unstable", onsets=(2,), overestimation=True),
        record(1, "unstable", overestimation=False, catastrophic=True),
        record(2, "healed", onsets=(3,)),
        record(3, "stable", overestimation=None),
        record(4, "censored", onsets=(2,)),
    ]
    counts = {
        label: (cell.unstable, cell.trials, cell.censored)
        for label in ("any", "overestimation", "catastrophic", "onset", "ever")
        for cell in cell_rates(records, label)  # type: ignore[arg-type]
    }
    assert counts == {
        "any": (2, 4, 1),
        "overestimation": (1, 3, 2),
        "catastrophic": (1, 4, 1),
        "onset": (3, 5, 0),
        "ever": (4, 5, 0),
    }


def test_a_cell_without_a_finished_trial_has_no_rate_and_the_whole_interval(record: Callable) -> None:
    (cell,) = cell_rates([record(0, None), record(1, "censored")])
    assert (cell.rate, cell.trials, cell.interval.low, cell.interval.high) == (None, 0, 0, 1)


def test_censored_trials_bound_the_rate(record: Callable) -> None:
    records = [record(0, "unstable"), record(1), record(2), record(3, "censored"), record(4, None)]
    (cell,) = cell_rates(records)
    assert cell.censoring_bounds == (1 / 4, 2 / 4)


def test_a_crash_saves_nothing(record: Callable) -> None:
    (cell,) = cell_rates([record(0, "censored", epochs_run=0), record(1, "censored", epochs_run=3)])
    assert (cell.epochs_run, cell.epochs_saved, cell.device_seconds_saved) == (3, 0, 0)


def test_only_options_that_differ_are_factors_and_cells_are_in_their_order(record: Callable) -> None:
    values = [(10.0, (5,)), (9.0, ()), (9.0, (5,)), (10.0, ())]
    records = [record(cell={"beta": beta, "milestones": list(steps)}) for beta, steps in values]
    assert varying_factors(records) == ["beta", "milestones"]
    assert [cell.factors["beta"] for cell in cell_rates(records)] == [9, 9, 10, 10]
    assert varying_factors(records[:1] * 2) == []


def test_interval_and_level_are_passed_on(record: Callable) -> None:
    (cell,) = cell_rates([record()], level=0.8, interval="anytime")
    assert (cell.interval.kind, cell.interval.level) == ("anytime", 0.8)


def test_an_unknown_label_is_refused(record: Callable) -> None:
    with pytest.raises(ValueError, match="label 'all' must be one of any, overestimation"):
        cell_rates([record()], "all")  # type: ignore[arg-type]
