from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.benchmark import main


@pytest.mark.slow
@pytest.mark.usefixtures("small_resnet")
def test_prints_and_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "benchmark.json"
    assert main(["--only", "data-path", "--repeats", "1", "--seconds", "0.001", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    written = json.loads(path.read_text())
    assert written["header"].keys() >= {"hardware", "threads", "torch", "commit"}
    assert all(value in " ".join(printed.split()) for value in (written["header"]["commit"], "median", "data-path"))
    assert [result["n"] for result in written["results"]] == [1, 1, 1]


@pytest.mark.parametrize(
    "args",
    [
        ["--only", "no-such-row"],
        ["--repeats", "0"],
        ["--seconds", "-1"],
        ["--seconds", "nan"],
        ["--onyl", "ddp"],
        ["--json", "no/such/folder.json"],
    ],
)
def test_bad_options_end_with_code_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    assert args[0] in capsys.readouterr().err


def test_bad_sweep_folder_ends_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "fields-sweep", "--sweep-dir", str(tmp_path)]) == 2
    assert "--sweep-dir" in capsys.readouterr().err
