"""A stored file is either whole or not there, whatever fails in between."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from core.storage import CorruptFileError, Store


@pytest.fixture(params=["folder", "uri"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "folder" else f"file://{tmp_path}")


def test_files_come_back_and_are_where_pyarrow_finds_them(store: Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    assert store.write("weights.pt", content) == hashlib.sha256(content).hexdigest()
    assert store.read("weights.pt") == content
    with fs.LocalFileSystem().open_input_stream(str(tmp_path / "weights.pt")) as stream:
        assert stream.read() == content
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pt"]


def test_missing_files_are_none_and_may_be_deleted(store: Store) -> None:
    assert store.read("nothing") is None
    assert store.read_sealed("nothing") is None
    store.delete("nothing")
    store.write("something", b"x")
    store.delete("something")
    assert store.read("something") is None


def test_children_are_folders(store: Store, tmp_path: Path) -> None:
    assert store.child("trials").folders() == []
    for name in ("b-1", "a-0"):
        store.child("trials").child(name).write("record.json", b"{}")
    store.child("trials").write("file", b"")
    assert store.child("trials").folders() == ["a-0", "b-1"]
    assert (tmp_path / "trials" / "a-0" / "record.json").is_file()


def test_a_query_stays_at_the_end_of_a_childs_uri() -> None:
    assert Store("s3://bucket/prefix?region=eu").child("sweep").root == "s3://bucket/prefix/sweep?region=eu"


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
    """A second process replaces the file as fast as it can while this one reads it."""
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
    """No more than 1,000 bytes may be written: what a full disk does, without filling one."""
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
        with pytest.raises(ValueError, match="cannot write"):
            store.probe()
        assert store.read("state") == b"old"
    finally:
        tmp_path.chmod(0o700)


def test_probe_names_the_storage_that_does_not_work(tmp_path: Path) -> None:
    Store(str(tmp_path / "new" / "folder")).probe()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match=f"--storage {tmp_path}/file/below: cannot write"):
        Store(str(tmp_path / "file" / "below")).probe()


def test_relative_folders_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--storage 'results' must be an absolute path or a URI"):
        Store("results")
