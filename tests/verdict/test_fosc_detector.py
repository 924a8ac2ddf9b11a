"""The FOSC alarm, compared with a search for runs in the whole trace."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from core.verdict import FoscDetector

FOSC = st.one_of(st.none(), st.just(3.0), st.just(float("nan")), st.floats(0, 6))


def by_regular_expression(trace: list[float | None], patience: int, grace: int) -> tuple[list[int], list[int], bool]:
    """Onsets, recoveries and the state of the alarm, from a string with an x for each masked epoch."""
    marks = "".join(
        "x" if epoch > grace and not (value is not None and value <= 3) else "." for epoch, value in enumerate(trace, 1)
    )
    runs = list(re.finditer(f"x{{{patience},}}", marks))
    return (
        [run.start() + 1 for run in runs],
        [run.end() + 1 for run in runs if run.end() < len(marks)],
        bool(runs) and runs[-1].end() == len(marks),
    )


@given(trace=st.lists(FOSC, max_size=40), patience=st.integers(1, 4), grace=st.integers(0, 6))
def test_onsets_and_recoveries_are_the_runs_of_suspicious_epochs(
    trace: list[float | None], patience: int, grace: int
) -> None:
    detector = FoscDetector(threshold=3, patience=patience, grace=grace)
    for epoch, value in enumerate(trace, start=1):
        on = detector.update(epoch, {"val/fosc": value})
        assert (detector.onset_epochs, detector.recovery_epochs, on) == by_regular_expression(
            trace[:epoch], patience, grace
        )
        assert detector.active == on


@given(trace=st.lists(FOSC, max_size=30), cut=st.integers(0, 30), patience=st.integers(1, 3))
def test_a_checkpoint_at_any_epoch_changes_nothing(trace: list[float | None], cut: int, patience: int) -> None:
    whole = FoscDetector(threshold=3, patience=patience, grace=2)
    detector = FoscDetector(threshold=3, patience=patience, grace=2)
    for epoch, value in enumerate(trace, start=1):
        whole.update(epoch, {"val/fosc": value})
        detector.update(epoch, {"val/fosc": value})
        if epoch == cut:
            state = json.loads(json.dumps(detector.state_dict()))
            detector = FoscDetector(threshold=3, patience=patience, grace=2)
            detector.load_state_dict(state)
    assert vars(detector) == vars(whole)


def test_a_loaded_state_is_a_copy() -> None:
    first, second = (FoscDetector(threshold=3, patience=1, grace=0) for _ in range(2))
    first.update(1, {"val/fosc": 9.0})
    second.load_state_dict(first.state_dict())
    first.update(2, {"val/fosc": 0.0})
    assert (second.onset_epochs, second.recovery_epochs, second.active) == ([1], [], True)
