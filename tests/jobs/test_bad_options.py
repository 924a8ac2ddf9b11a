"""A wrong option gives one clear message that names it and exit code 2, before any work starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.sweep_trades import main

BAD = [
    ("--beta", ["--beta", "at least one value"]),
    ("--beta -1", ["--beta -1", "must be at least 0"]),
    ("--lr -1e-9", ["--lr -1e-9", "must be greater than 0"]),
    ("--beta x 2", ["--beta x", "must be a number"]),
    ("--epsilon 8/0", ["--epsilon 8/0"]),
    ("--model resnet19", ["--model resnet19", "wrn-N-K"]),
    ("--dataset cifar10 --classes 20", ["classes 20", "cifar10", "10"]),
    ("--schedule step", ["schedule step needs milestones"]),
    ("--batch-size 2 --workers 4", ["batch_size 2", "workers 4"]),
    ("--seeds 0", ["--seeds 0", "must be at least 1"]),
    ("--seeds many", ["--seeds many", "must be a whole number"]),
    ("--name ../elsewhere", ["--name ../elsewhere", "letters"]),
    ("--preset nosuch", ["--preset nosuch", "quick", "table2-batch"]),
    ("--pin-seed weather", ["--pin-seed weather", "init"]),
    ("--until-decided 0.5", ["until_decided 0.5", "until_width"]),
    ("--until-width 0.3 --seeds 4", ["--seeds 4", "--until-width"]),
    ("--gpus-per-worker 2", ["--gpus-per-worker 2", "must be at most 1"]),
    ("--gpus-per-worker 0.5 --workers 2", ["--gpus-per-worker 0.5", "--workers 2", "cannot share a GPU"]),
    ("--validation-images 1437", ["validation_images 1437", "train_images 1437"]),
    ("--preset table4 --data-dir nowhere", ["cifar10", "nowhere", "--data-dir", "--download"]),
    ("--augment idbh-weak", ["augment idbh-weak", "image_size 8", "at least 11 pixels"]),
    ("--method las-at --train-epsilon 0.2", ["train_epsilon 0.2", "las-at"]),
    ("--extra-share 0.3", ["extra_share 0.3", "extra_data"]),
    ("--extra-data none.npz", ["--extra-data none.npz", "not found", "--data-dir"]),
    ("--start-from nosuch", ["--start-from nosuch", "there is no sweep nosuch"]),
    ("--start-from nosuch.pt", ["--start-from", "nosuch.pt", "no such file"]),
    ("--start-checkpoint last", ["start_checkpoint last", "start_from"]),
    ("--start-from a/0123456789ab --until-width 0.3", ["--start-from a/0123456789ab", "--until-width"]),
    ("--mlflow-uri file:./mlruns", ["--mlflow-uri", "file:./mlruns", "sqlite:///"]),
    ("--mlflow-uri sqlite:///nowhere/mlflow.db", ["--mlflow-uri", "nowhere"]),
    ("--address nonsense", ["--address nonsense", "HOST:PORT"]),
    ("--address http://127.0.0.1:8265", ["--address http://127.0.0.1:8265", "HOST:PORT"]),
    ("--storage s3://", ["--storage"]),
    (
        "--worker-role arn:aws:iam::1:role/x",
        ["--worker-role arn:aws:iam::1:role/x", "has no effect", "s3:// --storage"],
    ),
    ("--worker-role arn:aws:iam::1:role/x --dry-run", ["--worker-role arn:aws:iam::1:role/x", "has no effect"]),
    ("--worker-role unmask-trial --storage s3://bucket", ["--worker-role unmask-trial", "must be the ARN of a role"]),
    ("--worker-role arn:aws:iam::1:user/x --storage s3://bucket", ["--worker-role arn:aws:iam::1:user/x", "ARN"]),
    ("--storage /proc/none", ["--storage /proc/none"]),
]


@pytest.mark.parametrize(("options", "named"), BAD, ids=[options for options, _ in BAD])
def test_bad_option_is_named_before_anything_starts(
    options: str, named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(options.split()) == 2
    printed = capsys.readouterr()
    message = " ".join(printed.err.split())
    assert message.startswith("error:")
    for text in named:
        assert text in message
    assert "Traceback" not in printed.err
    assert "Ray" not in printed.out


def test_missing_data_are_refused_before_anything_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--preset", "table4", "--data-dir", "nowhere"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: dataset cifar10 needs ")


@pytest.mark.parametrize("options", ["--betta 1", "--no-such-flag"])
def test_a_typo_ends_with_exit_code_2_and_a_hint(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options.split()) == 2
    assert capsys.readouterr().err.startswith(f"error: {options.split()[0]}: there is no such option")


@pytest.mark.parametrize("option", ["--start-from nosuch", "--start-from {0}/no.pt", "--extra-data no.npz"])
def test_a_dry_run_says_which_input_is_missing_here(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sweep may be run on another machine, which has it."""
    monkeypatch.chdir(tmp_path)
    words = option.format(tmp_path).split()
    assert main(["--dry-run", *words]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "cannot be started here" in line]
    assert words[1] in line
    assert not list(tmp_path.iterdir())


def test_dry_run_lists_cells_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = "--epsilon 0.2 --beta 1 3 6 --batch-size 128 256 --seeds 10"
    assert main(["--dry-run", *grid.split()]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "6 cells, 60 trials" in printed
    assert "At radius 0.2, 0.0 % of the test images of digits have" in printed
    assert list(tmp_path.iterdir()) == []
