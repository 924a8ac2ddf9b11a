from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.questions.sweep_cost import sweep_cost


def test_used_and_saved_are_added_up_by_hand(record: Callable) -> None:
    records = [
        record(0, "unstable", epochs_run=4, fields={"stopped_early": True, "device_seconds": 400.0}),
        record(1, "stable", fields={"device_seconds": 1000.0, "attempts": 4, "lost_device_seconds": 250.0}),
        record(2, "censored", epochs_run=2, fields={"device_seconds": 200.0}),
        record(3, None, epochs_run=5, fields={"device_seconds": 500.0, "attempts": 0}),
    ]
    found = sweep_cost(records, price_per_device_hour=3.6)
    assert (found.trials, found.epochs_run, found.epochs_saved) == (4, 21, 6)
    assert (found.device_seconds, found.device_seconds_saved) == (2100, 600)
    assert (found.money, found.money_saved) == pytest.approx((2.1, 0.6))
    assert found.saved_share == pytest.approx(600 / 2700)
    assert (found.restarts, found.device_seconds_lost) == (3, 250)
    assert sweep_cost(records).money is None
    assert sweep_cost([]).saved_share == 0


def test_saved_epochs_cost_neither_set_up_nor_verdict_nor_lost_work(record: Callable) -> None:
    spent = {"device_seconds": 400.0, "lost_device_seconds": 80.0, "attempts": 2}
    own_pace = record(
        0, "unstable", epochs_run=4, fields={"stopped_early": True, "epoch_device_seconds": 200.0, **spent}
    )
    assert sweep_cost([own_pace]).device_seconds_saved == 6 * 200 / 4
    earlier_version = record(0, "unstable", epochs_run=4, fields={"stopped_early": True, **spent})
    assert sweep_cost([earlier_version]).device_seconds_saved == 6 * (400 - 80) / 4


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(ValueError, match="price_per_device_hour -1 must be at least 0"):
        sweep_cost([], -1)
