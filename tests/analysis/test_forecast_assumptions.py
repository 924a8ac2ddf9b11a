"""The assumptions of a forecast without a pilot, and the delay between alarms and their confirmation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.questions.forecast_assumptions import assumed_cells, confirm_delay, pilot_of


def test_one_rate_is_for_all_cells_or_each_has_its_own() -> None:
    one = assumed_cells([0.3], [50, 100], [1.0, 2.0], grace=5)
    assert [(cell.rate, cell.epochs, cell.seconds_per_epoch) for cell in one] == [(0.3, 50, 1.0), (0.3, 100, 2.0)]
    assert one[0].onset_epochs == tuple(range(6, 51))
    assert [cell.rate for cell in assumed_cells([0, 1], [9, 9], [1, 1], grace=20)] == [0, 1]


@pytest.mark.parametrize("rates", [[], [0.1, 0.2, 0.3], [1.1], [-0.1, 0.5], [float("nan")]])
def test_impossible_rates_are_refused(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="--assume-rate"):
        assumed_cells(rates, [50, 50], [1.0, 1.0], grace=5)


def test_confirmation_takes_what_it_took_in_the_pilot(record: Callable) -> None:
    seen = [record(s, "unstable", onsets=(10,), confirmed_epoch=10 + delay) for s, delay in enumerate((1, 6, 2))]
    assert confirm_delay([*seen, record(9), record(8, "unstable", onsets=(3,))], patience=2) == 3
    assert confirm_delay([record(0)], patience=4) == 3


def test_each_cell_has_its_own_planned_epochs(record: Callable) -> None:
    short, long = (
        record(0, cell={"epochs": epochs}, epochs_planned=epochs, fields={"device_seconds": 5.0}) for epochs in (10, 30)
    )
    truths, counts = pilot_of([short, long], [short.cell_id, long.cell_id, "unknown"])
    assert [truth.epochs for truth in truths] == [10, 30, 30]
    assert counts == [(0, 1), (0, 1), (0, 0)]
