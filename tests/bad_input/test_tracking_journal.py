"""The tracking journal after a crash: what was complete is read again, the rest costs only itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tracking.dead_letters import Rejected
from core.tracking.journal import Journal
from tests.bad_input.harness import cases
from tests.bad_input.strategies import changed_json, damaged

ENTRIES = [{"kind": "metrics", "time": 1000 + number, "metrics": {"x": number}} for number in range(6)]


def written(folder: Path) -> tuple[Path, bytes]:
    journal = Journal(folder)
    for entry in ENTRIES:
        journal.append(entry)
    journal.close()
    (segment,) = folder.glob("journal-*.jsonl")
    return segment, segment.read_bytes()


def values(journal: Journal) -> list[object]:
    return [entry.get("metrics") for entry in journal.pending(100)]


@cases(300)
@given(data=st.data())
def test_whole_lines_survive_any_damage_elsewhere(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    segment, whole = written(tmp_path_factory.mktemp("journal"))
    content = data.draw(damaged(whole))
    segment.write_bytes(content)
    journal = Journal(segment.parent)
    found = values(journal)
    shorter = min(len(whole), len(content))
    same = next((i for i in range(shorter) if whole[i] != content[i]), shorter)
    lines = whole[:same].count(b"\n")
    assert found[:lines] == [entry["metrics"] for entry in ENTRIES[:lines]], "lines before the damage"
    journal.append({"kind": "metrics", "time": 1, "metrics": "new"})
    assert values(journal)[-1] == "new"
    journal.close()


@cases(200)
@given(data=st.data())
def test_one_line_of_anything(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    segment, whole = written(tmp_path_factory.mktemp("journal"))
    lines = whole.splitlines(keepends=True)
    lines[2] = data.draw(changed_json(lines[2])).replace(b"\n", b" ") + b"\n"
    segment.write_bytes(b"".join(lines))
    journal = Journal(segment.parent)
    found = values(journal)
    assert all(entry["metrics"] in found for entry in (*ENTRIES[:2], *ENTRIES[3:]))
    journal.close()


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b'{"n": 1e999}', b'{"n": null}', b'"n"', b"\xff\xfe", b'{"n": "x"}', b"7"]
)
def test_lines_that_no_parser_likes(line: bytes, tmp_path: Path) -> None:
    segment, whole = written(tmp_path)
    segment.write_bytes(line + b"\n" + whole)
    journal = Journal(tmp_path)
    assert values(journal) == [entry["metrics"] for entry in ENTRIES]
    journal.close()


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\xff\xff", b"-5\n", b"99999999999999999999999\n", b"1e3", "٣".encode()]
)
def test_a_damaged_confirmation(content: bytes, tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "confirmed").write_bytes(content)
    journal = Journal(tmp_path)
    journal.append({"kind": "metrics", "time": 1, "metrics": "new"})
    assert values(journal)[-1] == "new"
    journal.close()


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path)
    for name in ("journal-x.jsonl", "journal-.jsonl", "journal-1 (copy).jsonl"):
        (tmp_path / name).write_text("mine")
    journal = Journal(tmp_path)
    for entry in journal.pending(100):
        journal.confirm(entry)
    journal.close()
    assert (tmp_path / "journal-x.jsonl").read_text() == "mine"


@cases(150)
@given(data=st.data())
def test_entries_that_were_set_aside(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("journal")
    rejected = Rejected(folder)
    for number, entry in enumerate(ENTRIES):
        rejected.add({**entry, "n": number}, "the server said no")
    (file,) = folder.iterdir()
    file.write_bytes(data.draw(damaged(file.read_bytes())))
    journal = Journal(folder)
    assert rejected.count >= 0
    rejected.requeue(journal)
    assert rejected.count == 0
    assert all(entry["kind"] == "metrics" for entry in journal.pending(100))
    journal.close()
