from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.tracking import journal as module
from core.tracking.journal import Journal


def numbers(journal: Journal) -> list[int]:
    return [entry["value"] for entry in journal.pending(1000)]


def test_unconfirmed_entries_are_read_again(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    for value in range(5):
        first.append({"value": value})
    first.confirm(first.pending(2)[-1])
    assert first.left == 3
    first.close()
    assert numbers(Journal(tmp_path)) == [2, 3, 4]


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_half_written_last_line_is_dropped_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    first = Journal(tmp_path)
    for value in range(3):
        first.append({"value": value})
    first.close()
    (segment,) = tmp_path.glob("journal-*")
    os.truncate(segment, segment.stat().st_size - cut)
    again = Journal(tmp_path)
    assert numbers(again) == [0, 1]
    again.append({"value": 9})
    assert numbers(again) == [0, 1, 9]


def test_a_damaged_line_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    for value in range(3):
        first.append({"value": value})
    first.close()
    (segment,) = tmp_path.glob("journal-*")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + b"\x00" * 8 + lines[1][8:] + lines[2])
    assert numbers(Journal(tmp_path)) == [0, 2]


def test_a_lost_confirmation_replays_everything_and_numbers_stay_unique(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    for value in range(3):
        first.append({"value": value})
    first.confirm(first.pending(2)[-1])
    first.close()
    (tmp_path / "confirmed").write_text("")
    again = Journal(tmp_path)
    again.append({"value": 3})
    assert numbers(again) == [0, 1, 2, 3]
    assert len({entry["n"] for entry in again.pending(10)}) == 4


def test_confirmed_segments_are_deleted_so_that_the_disk_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1000)
    journal = Journal(tmp_path)
    expected = 0
    for value in range(500):
        journal.append({"value": value})
        if value % 3 == 2:
            (*_, last) = batch = journal.pending(3)
            assert [entry["value"] for entry in batch] == [expected, expected + 1, expected + 2]
            expected += 3
            journal.confirm(last)
            assert journal.size < 2500
    journal.close()
    assert numbers(Journal(tmp_path)) == [498, 499]


def test_a_second_process_or_driver_is_refused(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    with pytest.raises(ValueError, match="another process"):
        Journal(tmp_path)
    first.close()
    Journal(tmp_path).close()


def test_an_empty_journal_after_a_lost_confirmation_has_nothing_left(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.append({"value": 0})
    first.confirm(first.pending(1)[-1])
    first._output.close()  # killed here: one segment whose entries are all confirmed stays
    first._lock_file.close()
    (tmp_path / "confirmed").write_text("")
    for segment in tmp_path.glob("journal-*"):
        segment.rename(tmp_path / "journal-00000000000000000011.jsonl")
        (tmp_path / "journal-00000000000000000011.jsonl").write_bytes(b"")
    again = Journal(tmp_path)
    assert numbers(again) == []
    assert again.left == 0
