"""Unusable folders and files are reported before work starts, together with their option."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import benchmark, evaluate, report, sweep_trades
from tests.bad_input.harness import assert_refused, run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which contains files and links that are not folders."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    return tmp_path


UNUSABLE = ["file", "file/below", "loop", "loop/below", "/proc/none", "x" * 300, "/dev/null/x"]


@pytest.mark.parametrize("path", UNUSABLE)
def test_storage(path: str, here: Path) -> None:
    for main, args in (
        (sweep_trades.main, []),
        (sweep_trades.main, ["--seeds-from", "before", "--name", "x"]),
        (evaluate.main, ["--sweep", "before"]),
    ):
        ended = run(main, [*args, "--storage", path, "--mlflow-uri", "refused:"])
        assert_refused(ended)
        assert path[:200] in ended.message.replace(str(here) + "/", "")
    assert (here / "file").read_text() == "mine"


@pytest.mark.parametrize("path", [*(path for path in UNUSABLE if path != "/proc/none"), "folder", "none/report.html"])
def test_where_a_report_goes(path: str, here: Path) -> None:
    ended = run(report.main, ["--sweep", "x", "--output", path])
    if path == "file":
        assert "--output" not in ended.message, "an older report may be replaced"
    else:
        assert_refused(ended, "--output")
    if path not in ("folder", "none/report.html"):
        assert_refused(run(report.main, ["--sweep", "x", "--figures", path]), "--figures")
    if path != "file":
        assert_refused(run(benchmark.main, ["--only", "square", "--json", path]), "--json")


@pytest.mark.parametrize("option", ["--repeats", "--seconds", "--sweep-seeds"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "x", "", "1e999", "²", "9" * 5000, "1,5"])
def test_numbers_of_the_benchmark(option: str, value: str) -> None:
    assert_refused(run(benchmark.main, [f"{option}={value}"]), option)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "x' OR tags.a = 'b", "\udcff", "x" * 101])
def test_names_that_lead_elsewhere(name: str, here: Path) -> None:
    for main in (report.main, evaluate.main):
        ended = run(main, [f"--sweep={name}"])
        assert_refused(ended, "--sweep")
    assert_refused(run(sweep_trades.main, [f"--seeds-from={name}", "--name", "y"]), "--seeds-from")


@pytest.fixture
def read_only(here: Path) -> Iterator[Path]:
    """A folder in which no user can write, including root."""
    folder = here / "read-only"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", folder], capture_output=True, check=False)
    if mount.returncode:
        folder.chmod(0o500)
        try:
            (folder / "probe").touch()
        except OSError:
            pass
        else:
            pytest.skip("this user may write everywhere, and may not mount")
    yield folder
    if mount.returncode == 0:
        subprocess.run(["umount", folder], check=True)


def test_a_folder_that_is_read_only(read_only: Path) -> None:
    ended = run(sweep_trades.main, ["--storage", str(read_only)])
    assert_refused(ended, "--storage")
    assert "Starting Ray" not in ended.out
    ended = run(sweep_trades.main, ["--mlflow-uri", f"sqlite:///{read_only}/mlflow.db"])
    assert_refused(ended, "--mlflow-uri")
    assert_refused(run(report.main, ["--sweep", "x", "--output", str(read_only / "r.html")]), "--output")
    assert_refused(run(report.main, ["--sweep", "x", "--figures", str(read_only / "f")]), "--figures")
    assert_refused(run(benchmark.main, ["--json", str(read_only / "b.json")]), "--json")
