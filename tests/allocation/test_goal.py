from __future__ import annotations

import pytest

from core.allocation import AllocationGoal


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "at least one of until_width, max_trials and max_device_hours"),
        ({"until_decided": 0.5}, "until_decided 0.5 alone may never be reached"),
        ({"until_width": 0}, "until_width"),
        ({"until_width": 1.2}, "until_width"),
        ({"until_decided": 1, "max_trials": 9}, "until_decided"),
        ({"max_trials": 0}, "max_trials"),
        ({"max_device_hours": -1}, "max_device_hours"),
        ({"max_trials": 9, "min_seeds": 0}, "min_seeds"),
    ],
)
def test_impossible_goals_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AllocationGoal(**options)
