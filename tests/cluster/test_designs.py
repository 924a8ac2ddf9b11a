"""Sweeps with a design, run by the real job: reruns of earlier trials, and groups of pinned seeds.

Most of them train one trial at a time, because each process of a trial costs seconds of a processor to start.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.conftest import Sweep
from tests.servers.shared_ray import SharedRay

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
ALWAYS_MASKED = ("--fosc-threshold", "1e-9", "--fosc-grace", "0", "--fosc-patience", "1", "--no-stop")


@pytest.fixture(scope="module")
def designed(shared_ray: SharedRay, new_sweep: Callable[[str], Sweep]) -> Sweep:
    """A folder with the finished sweep ``before``, whose seeds 4 to 6 have an alarm, and which others start from."""
    sweep = new_sweep("designed")
    sweep.join(shared_ray)
    before = ("--name", "before", "--seeds", "3", "--first-seed", "4", "--epochs", "3")
    sweep.run(*before, "--max-concurrent", "1", *ALWAYS_MASKED)
    return sweep


def test_unstable_seeds_are_trained_again_with_healing(designed: Sweep) -> None:
    sweep = designed
    again = ("--name", "fixed", "--seeds-from", "before", "--heal", "fosc", "--max-concurrent", "1")
    printed = sweep.run(*again, "--seeds", "2")
    before, fixed = (list(sweep.records(name).values()) for name in ("before", "fixed"))
    assert {record["verdict"]["outcome"] for record in before} == {"unstable"}
    assert sorted(record["seed"] for record in fixed) == [4, 5]
    for second in fixed:
        (first,) = [record for record in before if record["seed"] == second["seed"]]
        assert second["cell"] == {**first["cell"], "heal": "fosc"}
        assert second["protocol"] == first["protocol"]
        assert second["rerun"] == {"sweep": "before", "where": ["unstable"], "counterpart": first["cell_id"]}
        # The alarm of epoch 1 adds noise in epoch 2. Epoch 1 must be identical.
        assert [row["heal/noisy_batches"] for row in second["trace"]] == [0, 10, 10]
        assert second["trace"][0]["train/loss"] == first["trace"][0]["train/loss"]
        assert second["trace"][1]["train/loss"] != first["trace"][1]["train/loss"]
    assert "2 fixed trials have no gated checkpoint" in " ".join(printed.split())
    assert " starts" not in sweep.run(*again, "--seeds", "2")
    refused = sweep.run("--name", "fixed", "--seeds", "1", "--epochs", "3", code=2)
    assert "seeds from sweep: before stored, None given" in refused
    (sweep.folder / "results" / "fixed" / "sweep.json").unlink()
    refused = sweep.run("--name", "fixed", "--seeds", "1", "--epochs", "3", code=2)
    assert "its sweep.json is missing" in refused
    assert "seeds from sweep: before stored, None given" in refused


def test_seeds_start_from_the_weights_of_their_counterparts(designed: Sweep) -> None:
    """`test_every_method` has two workers start from a trial."""
    tuned = ("--name", "tuned", "--first-seed", "6", "--epochs", "1", "--lr", "0.05")
    tuned += ("--start-from", "before/beta=1")
    designed.run(*tuned, "--seeds", "1")
    (record,) = designed.records("tuned").values()
    (before,) = {record["cell_id"] for record in designed.records("before").values()}
    assert (record["seed"], record["cell"]["start_from"]) == (6, f"before/{before}")
    refused = designed.run(*tuned, "--seeds", "2", code=2)
    assert f"--start-from before/beta=1: sweep before has no finished trial {before}-7" in " ".join(refused.split())


def test_pinned_groups_are_trained_side_by_side(sweep: Sweep) -> None:
    pinned = ("--name", "pinned", "--epochs", "1", "--seeds", "2", "--pin-seed", "init", "--pin-value", "3", "8")
    assert "How much of the variance of gap do the seeds of init" in " ".join(sweep.run(*pinned).split())
    records = sweep.records("pinned")
    assert {(record["pins"]["init"], record["seed"]) for record in records.values()} == {
        (3, 0),
        (3, 1),
        (8, 100_000),
        (8, 100_001),
    }
    assert all(key.endswith(f"-{record['seed']}-init{record['pins']['init']}") for key, record in records.items())
