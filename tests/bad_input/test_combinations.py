"""Options that are valid separately and impossible together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.sweep_trades import main
from tests.bad_input.harness import assert_refused, cases, run, snapshot
from tests.bad_input.strategies import words

IMPOSSIBLE = [
    (["--schedule", "step"], ["schedule", "milestones"]),
    (["--milestones", "5"], ["schedule", "milestones"]),
    (["--schedule", "step", "--milestones", "9", "5"], ["milestones"]),
    (["--schedule", "step", "--milestones", "0"], ["milestones"]),
    (["--batch-size", "8", "16", "--workers", "9"], ["batch_size", "workers"]),
    (["--batch-size", "1201", "--drop-last", "true"], ["batch_size", "drop_last"]),
    (["--momentum", "0"], ["nesterov", "momentum"]),
    (["--validation-images", "1437"], ["validation_images", "train_images"]),
    (["--awp-radius", "0.1", "--rwp-radius", "0.1"], ["awp_radius", "rwp_radius"]),
    (["--method", "iseat", "--rwp-radius", "0.1"], ["awp_radius", "rwp_radius"]),
    (["--weight-averaging", "swa", "--averaging-decay", "0.9"], ["averaging_decay", "weight_averaging"]),
    (["--averaging-start", "2"], ["averaging_start", "weight_averaging"]),
    (["--weight-averaging", "ema", "--averaging-start", "5", "--epochs", "4"], ["averaging_start", "epochs"]),
    (["--rwp-steps", "5"], ["rwp_steps", "rwp_radius"]),
    (["--rwp-threshold", "2"], ["rwp_threshold", "rwp_radius"]),
    (["--dataset", "cifar10", "--classes", "100"], ["classes", "dataset"]),
    (["--dataset", "svhn", "--train-images", "5000"], ["train_images", "dataset"]),
    (["--dataset", "digits", "--image-size", "28"], ["image_size", "dataset"]),
    (["--cpus-per-worker", "0", "--gpus-per-worker", "0"], ["cpus_per_worker", "gpus_per_worker"]),
    (["--max-trials", "5"], ["dry-run", "max-trials"]),
    (["--until-decided", "0.4"], ["until_decided"]),
    (["--max-trials", "5", "--seeds", "3"], ["seeds", "max-trials"]),
    (["--pin-seed", "init", "--pin-value", "1", "2", "--max-trials", "9"], ["pin-value", "max-trials"]),
    (["--pin-value", "1", "2"], ["pin-value", "pin-seed"]),
    (["--pin-seed", "init", "--pin-value", "3", "3"], ["pin-value"]),
    (["--pin-seed", "init", "--pin-value", *map(str, range(10_001))], ["pin-value"]),
    (["--pin-seed", "init", "--pin-value", *map(str, range(9000)), "--seeds", "1000"], ["seeds"]),
    (["--where", "stable"], ["where", "seeds-from"]),
    (["--where", "nosuch", "--seeds-from", "x", "--name", "y"], ["where"]),
    (["--seeds-from", "x", "--name", "y"], ["x"]),
    (["--seeds-from", "x", "--preset", "table2-lr"], ["seeds-from", "preset"]),
    (["--plan"], ["plan"]),
    (["--plan", "--until-width", "0.4"], ["plan", "pilot", "assume-rate"]),
    (["--plan", "--until-width", "0.4", "--assume-rate", "0.1", "--pilot", "q"], ["plan", "pilot", "assume-rate"]),
    (["--plan", "--until-width", "0.4", "--assume-rate", "0.1", "0.2"], ["assume-rate"]),
    (["--plan", "--until-width", "0.4", "--assume-rate", "1.01"], ["assume-rate"]),
    (["--plan", "--until-width", "0.4", "--pilot", "../x"], ["pilot"]),
    (["--plan", "--until-width", "0.4", "--pilot", "nosuch"], ["nosuch"]),
    (["--beta", *map(str, range(101)), "--lr", *(f"{i + 1}/101" for i in range(101))], ["beta", "lr"]),
    (["--beta", *"123456", "--seeds", "100000"], ["seeds"]),
    (["--epochs", "100000", "--seeds", "100000"], ["seeds", "epochs"]),
    (["--max-cost", "5"], ["max-cost", "price"]),
    (["--max-cost", "5", "--price", "0"], ["max-cost", "price"]),
    (["--seeds", "3", "--max-device-hours", "-1"], ["max-device-hours"]),
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize(("args", "named"), IMPOSSIBLE, ids=[" ".join(args)[:60] for args, _ in IMPOSSIBLE])
def test_impossible_together(args: list[str], named: list[str]) -> None:
    assert_refused(run(main, args if "--plan" in args else ["--dry-run", *args]), *named)


TOKENS = words(
    *[token for args, _ in IMPOSSIBLE for token in args if len(args) < 20],
    *[
        "--dry-run",
        "--no-stop",
        "--stop",
        "--",
        "-",
        "",
        "=",
        "--=",
        "--beta=",
        "---beta",
        "-b",
        "--no-dry-run",
        "None",
    ],
    *["--dataset=fields", "--preset=pin-quick", "--preset", "--storage", "--where", "--seeds=2", "\udc80", "@file"],
)


@pytest.mark.slow
@cases(100)
@given(st.lists(TOKENS, max_size=12))
def test_any_line_of_words_ends_well_and_starts_nothing(line: list[str]) -> None:
    """Flags without values, values without flags, and repetitions give a dry run or a clear message."""
    ended = run(main, [*(word for word in line if word not in ("--no-dry-run", "--plan")), "--dry-run"])
    if ended.code:
        assert_refused(ended)
    else:
        assert "nothing is started" in ended.out
