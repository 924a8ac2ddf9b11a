from __future__ import annotations

import json
from pathlib import Path

import pytest
import ray
from ray import tune

from analysis.statistics.intervals import confidence_sequence
from core.allocation import AllocationGoal, Certainty, SeedAllocator
from core.sweep.allocating_searcher import AllocatingSearcher

WIDTH = 0.7


def bounds(unstable: int, finished: int) -> tuple[float, float]:
    interval = confidence_sequence(unstable, finished)
    return interval.low, interval.high


def allocator() -> SeedAllocator:
    return SeedAllocator(2, Certainty(AllocationGoal(until_width=WIDTH), bounds), first_seed=10)


def config_of(cell: int, seed: int) -> dict[str, int]:
    return {"cell": cell, "seed": seed}


def never(cell: int, seed: int) -> None:
    return None


def test_lost_trials_come_again_and_are_censored_in_the_end():
    searcher = AllocatingSearcher(allocator(), config_of, never, max_losses=2)
    assert searcher.suggest("a") == {"cell": 0, "seed": 10}
    searcher.on_trial_complete("a", error=True)
    assert searcher.suggest("b") == {"cell": 0, "seed": 10}
    searcher.on_trial_complete("b", error=True)
    assert searcher.allocator.censored(0) == 1
    assert searcher.suggest("c") == {"cell": 1, "seed": 10}


def train(config: dict) -> None:
    """Write a record. The first attempt of seed 12 fails instead."""
    folder = Path(config["folder"])
    name = f"{config['cell']}-{config['seed']}"
    with (folder / f"{name}.starts").open("a") as starts:
        starts.write("x")
    if config["seed"] == 12 and len((folder / f"{name}.starts").read_text()) == 1:
        raise RuntimeError("lost")
    (folder / name).write_text(json.dumps(config["cell"] == 1 and config["seed"] % 2 == 0))


@pytest.mark.cluster
@pytest.mark.slow
def test_tune_trains_each_trial_once_until_the_goal_is_reached(tmp_path):
    records = tmp_path / "records"
    records.mkdir()

    def result_of(cell: int, seed: int) -> tuple[bool | None, float] | None:
        path = records / f"{cell}-{seed}"
        return (json.loads(path.read_text()), 1.0) if path.exists() else None

    def sweep(attempt: int) -> SeedAllocator:
        known = allocator()
        for path in records.glob("?-??"):
            cell, seed = map(int, path.name.split("-"))
            known.observe(cell, seed, *result_of(cell, seed))
        tune.Tuner(
            train,
            param_space={"folder": str(records)},
            tune_config=tune.TuneConfig(
                search_alg=AllocatingSearcher(known, config_of, result_of),
                num_samples=-1,
                max_concurrent_trials=2,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(name=f"tune{attempt}", storage_path=str(tmp_path), verbose=0),
        ).fit()
        return known

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        reached = sweep(0)
        lost = [records / "1-11", records / "0-10"]
        for path in lost:  # This simulates a driver that died before it recorded these trials.
            path.unlink()
        again = sweep(1)
    finally:
        ray.shutdown()
    assert reached.reached(0)
    assert reached.reached(1)
    assert [again.counts(cell) for cell in range(2)] == [reached.counts(cell) for cell in range(2)]
    for cell in range(2):
        seeds = sorted(int(path.name[2:]) for path in records.glob(f"{cell}-??"))
        assert seeds == list(range(10, 10 + reached.counts(cell)[1]))
        for seed in seeds:
            starts = len((records / f"{cell}-{seed}.starts").read_text())
            assert starts == 1 + (seed == 12) + (records / f"{cell}-{seed}" in lost)
