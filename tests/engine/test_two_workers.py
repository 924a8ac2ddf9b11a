"""Two workers of a real gloo group have the same results as one worker with the same global batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny
from tests.engine import rank
from tests.engine.start_rank import start_rank

CELL = {**tiny.CELL, "norm": "none", "lr": 0.05}
EPOCHS = {
    "plain": {},
    "uneven": {"batch_size": 13},  # 61 images give slices of 6 and 7 images, and of 4 and 5 in the last batch.
    "last batch of one image": {"batch_size": 12},
    "idbh": {"augment": "idbh-strong", "image_size": 12},
    "extra images": {"extra_data": "more.npz", "extra_share": 0.4, "batch_size": 13},
    "augmented and noised": {"augment": "crop-flip", "noisy_batches": 2},
    "awp": {"awp_radius": 0.02, "batch_size": 13},
    "pgd-at": {"method": "pgd-at", "inner": "ce", "attack_start": "uniform"},
    "probed": {"gradient_stride": 2, "batch_size": 12},
}
TRIALS = {
    "whole": {},
    "died": {"die_after": 2},
    "resumed": {"folder": "died"},
    "batch norm": {"norm": "batch"},
    "average": {"norm": "batch", "weight_averaging": "ema"},
    "average died": {"norm": "batch", "weight_averaging": "ema", "die_after": 2},
    "average resumed": {"norm": "batch", "weight_averaging": "ema", "folder": "average died"},
}
PROTOCOL = {"verdict_images": 20, "square_queries": 5, "pgd50_restarts": 1, "eval_steps": 3, "gradient_stride": 2}


def run_ranks(workers: int, jobs: list[dict[str, Any]], folder: Path) -> list[list[Any]]:
    """The results of all jobs for each rank. One worker is this process."""
    folder.mkdir()
    (folder / "jobs.json").write_text(json.dumps(jobs))
    outs = [folder / f"{number}.json" for number in range(workers)]
    if workers == 1:
        rank.main(0, 1, "-", folder / "jobs.json", outs[0])
        return [json.loads(outs[0].read_text())]
    processes = [
        start_rank(str(number), str(workers), folder / "group", folder / "jobs.json", out)
        for number, out in enumerate(outs)
    ]
    try:
        assert [process.wait(900) for process in processes] == [0] * workers
    finally:
        for process in processes:
            process.kill()
    return [json.loads(out.read_text()) for out in outs]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any, Any]]:
    """Results of a job by name: of one worker, and of the first and second of two workers."""
    jobs: list[dict[str, Any]] = []
    for given in EPOCHS.values():
        cell = {k: v for k, v in given.items() if k not in ("noisy_batches", "gradient_stride")}
        jobs.append({"noisy_batches": 0, "gradient_stride": 0, **given, "cell": {**CELL, **cell}})
    for name, given in TRIALS.items():
        options = {k: v for k, v in given.items() if k in ("norm", "weight_averaging")}
        jobs.append({"folder": name, "protocol": PROTOCOL, **given, "cell": {**CELL, **options, "workers": 2}})
    folder = tmp_path_factory.mktemp("ranks")
    random = np.random.default_rng(0)
    np.savez(folder / "more.npz", image=random.integers(0, 256, (30, 8, 8), np.uint8), label=random.integers(0, 5, 30))
    jobs = [{**job, "data_dir": str(folder)} for job in jobs]
    (alone,), (first, second) = run_ranks(1, jobs, folder / "one"), run_ranks(2, jobs, folder / "two")
    return dict(zip([*EPOCHS, *TRIALS], zip(alone, first, second, strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", EPOCHS)
def test_weights_and_rows_are_one_workers(results: dict[str, tuple[Any, Any, Any]], name: str) -> None:
    alone, first, second = results[name]
    for parameter, values in alone["weights"].items():
        assert first["weights"][parameter] == second["weights"][parameter]
        np.testing.assert_allclose(first["weights"][parameter], values, rtol=0, atol=1e-10, err_msg=parameter)
    assert first["rows"] == second["rows"]
    for ours, theirs in zip(first["rows"] + first["gradients"], alone["rows"] + alone["gradients"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)
    assert len(alone["gradients"]) == (6 if name == "probed" else 0)


@pytest.mark.slow
def test_a_trial_of_two_workers_has_one_workers_verdict(results: dict[str, tuple[Any, Any, Any]]) -> None:
    alone, first, second = results["whole"]
    assert second is None
    assert first["verdict"]["outcome"] == alone["verdict"]["outcome"]
    for ours, theirs in zip(first["trace"], alone["trace"], strict=True):
        for name in ("train/loss", "val/clean_loss", "val/fosc", "val/pgd10_loss", "grad/w_norm"):
            assert ours[name] == pytest.approx(theirs[name], rel=0.01), name  # Half batches have other rounding errors.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("died", "resumed_as", "undisturbed"),
    [("died", "resumed", "whole"), ("average died", "average resumed", "average")],
)
def test_a_trial_of_two_workers_goes_on_bit_for_bit(
    results: dict[str, tuple[Any, Any, Any]], died: str, resumed_as: str, undisturbed: str
) -> None:
    assert results[died] == ("died", "died", "died")
    for resumed, whole in zip(results[resumed_as][:2], results[undisturbed][:2], strict=True):
        assert resumed["attempts"] == 2
        assert resumed["checkpoints"] == whole["checkpoints"]
        assert resumed["verdict"] == whole["verdict"]


@pytest.mark.slow
def test_ranks_with_batch_norm_measure_one_model(results: dict[str, tuple[Any, Any, Any]]) -> None:
    record = results["batch norm"][1]
    assert record["verdict"]["outcome"] in ("stable", "unstable", "healed")
    assert len(record["trace"]) == 3
