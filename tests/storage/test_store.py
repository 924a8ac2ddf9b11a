"""A stored file is either complete or absent after any failure."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.storage import CorruptFileError, Store


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "folder":
        return Store(str(tmp_path))
    server = request.getfixturevalue("object_store")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return Store(f"s3://{server.make_bucket()}/some where")


def test_files_come_back_as_they_were(store: Store) -> None:
    content = bytes(range(256)) * 100
    assert store.write("weights.pt", content) == hashlib.sha256(content).hexdigest()
    assert store.read("weights.pt") == content
    store.write("weights.pt", b"")
    assert store.read("weights.pt") == b""
    assert store.names() == ["weights.pt"]


def test_a_folders_files_are_there_and_nothing_else(tmp_path: Path) -> None:
    Store(str(tmp_path)).child("a").write("b", b"content")
    assert [(p.relative_to(tmp_path).as_posix(), p.is_file()) for p in sorted(tmp_path.rglob("*"))] == [
        ("a", False),
        ("a/b", True),
    ]
    assert (tmp_path / "a" / "b").read_bytes() == b"content"


def test_missing_files_are_none_and_may_be_deleted(store: Store) -> None:
    assert store.read("nothing") is None
    assert store.read_sealed("nothing") is None
    assert store.age("nothing") is None
    store.delete("nothing")
    store.write("something", b"x")
    store.delete("something")
    assert store.read("something") is None


def test_children_are_folders(store: Store) -> None:
    trials = store.child("trials")
    assert (trials.folders(), trials.names()) == ([], [])
    for name in ("b-1", "a-0"):
        trials.child(name).write("record.json", b"{}")
    trials.write("file", b"")
    assert (trials.folders(), trials.names()) == (["a-0", "b-1"], ["file"])
    assert store.read("trials/a-0/record.json") == b"{}"
    assert Store(trials.child("a-0").root).read("record.json") == b"{}"


def test_hundreds_of_trials_are_all_listed(store: Store) -> None:
    """A server lists at most 1,000 objects per request."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: store.write(f"trials/t-{n:04d}/record.json", b"{}"), range(1100)))
    assert store.child("trials").folders() == [f"t-{n:04d}" for n in range(1100)]


def test_of_many_who_create_a_file_one_succeeds(store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda n: store.create("driver", str(n).encode()), range(32)))
    assert made.count(True) == 1
    assert store.read("driver") == str(made.index(True)).encode()
    assert store.names() == ["driver"]


@pytest.mark.slow
def test_age_is_the_time_since_the_last_write(store: Store) -> None:
    store.write("beat", b"1")
    time.sleep(2.2)
    age = store.age("beat")
    assert age is not None
    assert 1 <= age < 8
    store.write("beat", b"2")
    assert store.age("beat") < age
    assert store.names() == ["beat"]


def test_a_probe_leaves_nothing(store: Store) -> None:
    store.child("refused").probe()
    assert store.folders() == store.names() == []


def test_a_probe_removes_what_a_driver_left_that_was_killed_in_its_probe(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(os, "getpid", lambda: 1)
        killed.setattr(type(store._files), "delete", die)
        with pytest.raises(KeyboardInterrupt):
            store.probe()
    assert len(store.names()) == 1
    store.probe()
    assert store.names() == []


@pytest.mark.parametrize("name", ["../up", "a/../../b", "", "/etc/passwd", "a//b", ".", "a\\b", "a\0b"])
def test_no_name_leads_out_of_a_store(store: Store, name: str) -> None:
    for use in (store.read, store.child, store.delete, lambda n: store.write(n, b""), lambda n: store.create(n, b"")):
        with pytest.raises(ValueError, match="not a valid name inside a store"):
            use(name)


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=200), position=st.integers(0, 231), flip=st.integers(1, 255))
def test_any_changed_byte_of_a_sealed_file_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, position: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("sealed")
    store = Store(str(folder))
    store.write_sealed("state", content)
    assert store.read_sealed("state") == content
    sealed = bytearray((folder / "state").read_bytes())
    position %= len(sealed)
    sealed[position] ^= flip
    (folder / "state").write_bytes(sealed)
    with pytest.raises(CorruptFileError, match="state is damaged"):
        store.read_sealed("state")
    (folder / "state").write_bytes(sealed[:position])
    with pytest.raises(CorruptFileError):
        store.read_sealed("state")


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    """A second process replaces the file continuously while this process reads it."""
    writer = f"""
from core.storage import Store
store = Store({str(tmp_path)!r})
for number in range(60):
    store.write_sealed("state", bytes([number]) * 300_000)
"""
    store = Store(str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", writer])
    seen = set()
    while process.poll() is None:
        content = store.read_sealed("state")
        if content is not None:
            assert len(content) == 300_000
            assert len(set(content)) == 1
            seen.add(content[0])
    assert process.returncode == 0
    assert len(seen) > 1


def limited(limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_write_that_fails_half_way_is_an_os_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    """A limit of 1,000 bytes per file has the effect of a full disk."""
    store = Store(str(tmp_path))
    store.write("state", b"old")
    attempt = f"""
import signal
from core.storage import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    Store({str(tmp_path)!r}).write("state", bytes(1_000_000))
except OSError as error:
    print(error)
"""
    process = subprocess.run(
        [sys.executable, "-c", attempt], preexec_fn=limited(1000), capture_output=True, text=True, check=True
    )
    assert "too large" in process.stdout
    assert store.read("state") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_refuses_is_an_os_error(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("state", b"old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OSError, match="Permission denied"):
            store.write("state", b"new")
        with pytest.raises(ValueError, match="cannot write it: Permission denied"):
            store.probe()
        assert store.read("state") == b"old"
    finally:
        tmp_path.chmod(0o700)


def test_probe_names_the_storage_that_does_not_work(tmp_path: Path) -> None:
    Store(str(tmp_path / "new" / "folder")).probe()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match=rf"--storage {tmp_path}/file/below/\S+: cannot write it: Not a directory"):
        Store(str(tmp_path / "file" / "below")).probe()


def test_relative_folders_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--storage 'results' must be an absolute path or a URI"):
        Store("results")


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    writer = f"""
import os, signal
from pathlib import Path
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from core.storage import Store
Store({str(tmp_path)!r}).write("state", bytes(1000))
"""
    assert subprocess.run([sys.executable, "-c", writer]).returncode == -signal.SIGKILL
    (draft,) = tmp_path.iterdir()
    alive = tmp_path / f"{draft.name.rsplit('-', 2)[0]}-{os.getpid()}-1"
    alive.write_bytes(b"another thread's")
    other_machine = tmp_path / ".state.0123456789ab-1-1"
    other_machine.write_bytes(b"another machine's")
    store = Store(str(tmp_path))
    store.child("sub").write("x", b"")
    assert draft.exists()
    store.write_sealed("state2", b"other file")
    assert draft.exists()
    store.delete("state")
    assert not draft.exists()
    assert alive.exists()
    assert other_machine.exists()
    os.utime(other_machine, (0, 0))
    store.delete("state")
    assert not other_machine.exists()
