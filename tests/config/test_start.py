"""The notation of the weights that training starts from, and what of it counts in a cell's id."""

from __future__ import annotations

import pytest

from core.config import Cell
from core.config.start import StartOptions

CELL, SUM = "0123456789ab", "a" * 64


@pytest.mark.parametrize(
    ("start_from", "sweep", "part", "follows_seed", "resolved"),
    [
        ("before", "before", "", True, False),
        ("before/beta=1,epsilon=8/255", "before", "beta=1,epsilon=8/255", True, False),
        (f"before/{CELL}", "before", CELL, True, True),
        (f"before/{CELL}-3-init7", "before", f"{CELL}-3-init7", False, True),
    ],
)
def test_a_trial_is_named_by_sweep_and_cell(
    start_from: str, sweep: str, part: str, follows_seed: bool, resolved: bool
) -> None:
    start = StartOptions(start_from=start_from)
    assert (start.sweep, start.part, start.is_file) == (sweep, part, False)
    assert (start.follows_seed, start.resolved) == (follows_seed, resolved)


def test_each_seed_has_its_counterpart_and_a_trial_is_the_same_for_all() -> None:
    assert StartOptions(start_from=f"before/{CELL}").key(5, {"init": 3}) == f"{CELL}-5-init3"
    assert StartOptions(start_from=f"before/{CELL}-8").key(5, {"init": 3}) == f"{CELL}-8"


def test_a_file_is_named_by_its_content() -> None:
    unread = Cell.from_flat({"start_from": "a/b.pt"})
    assert (unread.start.is_file, unread.start.resolved) == (True, False)
    here, there, other = (
        Cell.from_flat({"start_from": place, "start_sha256": content})
        for place, content in (("/a/b.pt", SUM), ("s3://bucket/c.pt?endpoint=http://h:1", SUM), ("/a/b.pt", "b" * 64))
    )
    assert here.start.resolved
    assert here.id == there.id
    assert len({here.id, other.id, unread.id, Cell.from_flat({}).id}) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_from": "before/"}, None),
        ({"start_from": "/results/before"}, "start_from /results/before is no trial; allowed are SWEEP"),
        ({"start_from": "before/xyz"}, "is no trial"),
        ({"start_from": "../x"}, "is no trial"),
        (
            {"start_from": "before", "start_sha256": SUM},
            "start_sha256 a+ has no effect without start_from with",
        ),
        ({"start_from": "x.pt", "start_sha256": "12"}, "should match pattern"),
        ({"start_checkpoint": "last"}, "start_checkpoint last has no effect without start_from"),
        (
            {"start_from": "x.pt", "start_checkpoint": "gated"},
            "start_checkpoint gated has no effect without",
        ),
        ({"start_from": "before", "start_checkpoint": "alarm"}, "'selected', 'last' or 'gated'"),
    ],
)
def test_wrong_names_are_refused(options: dict, message: str | None) -> None:
    with pytest.raises(ValueError, match=message or "is no trial"):
        Cell.from_flat(options)
