"""A cluster whose workers are not yet started, as the driver on its head sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import yaml
from ray.autoscaler.sdk import fillout_defaults

from core.cluster.autoscaling import CLUSTER_FILE
from core.cluster.capacity import fitting_trials
from core.cluster.connect import with_gpus_of_cluster
from core.config import Cell, RunOptions

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
CLUSTER = Path(__file__).parents[2] / "raycluster.yaml"


TINY = Cell.from_flat({"model": "small-cnn", "batch_size": 16})


@pytest.fixture(scope="module")
def head() -> Iterator[None]:
    """Ray with only a head, which does not train."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")  # Otherwise ray.init enables tokens for all later tests.
        ray.init(address="local", num_cpus=0, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture
def launched(head: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head's home contains the cluster file, as after ``ray up``."""
    (tmp_path / CLUSTER_FILE).write_text(yaml.safe_dump(fillout_defaults(yaml.safe_load(CLUSTER.read_text()))))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_trials_are_as_many_as_the_started_machines_will_hold(launched: None) -> None:
    run = with_gpus_of_cluster(RunOptions(), [Cell.from_flat({"model": "resnet18"}), TINY])
    assert run.gpus_per_worker == 1
    assert with_gpus_of_cluster(RunOptions(), [TINY]).gpus_per_worker == 0, "a tiny network stays on CPUs"
    assert with_gpus_of_cluster(RunOptions(gpus_per_worker=0.5), [TINY]).gpus_per_worker == 0.5
    # At most 16 machines start. tests/deploy/test_scaling.py checks their types with Ray's scheduler.
    assert fitting_trials(run, workers=1) == 16
    assert fitting_trials(run, workers=3) == 5
    assert fitting_trials(run.model_copy(update={"max_concurrent": 7}), workers=1) == 7
    # Only the eight machines with four GPUs have 12 CPUs per GPU.
    assert fitting_trials(run.model_copy(update={"cpus_per_worker": 12}), workers=4) == 8


def test_what_no_machine_can_hold_is_refused(launched: None) -> None:
    with pytest.raises(ValueError, match="--cpus-per-worker 49 and --gpus-per-worker 1 can never run"):
        fitting_trials(RunOptions(gpus_per_worker=1, cpus_per_worker=49), workers=1)


def test_where_nobody_tells_what_will_come_the_user_must(
    head: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run = with_gpus_of_cluster(RunOptions())
    assert run.gpus_per_worker == 0
    with pytest.raises(ValueError, match="if nodes are still to be started, give --max-concurrent"):
        fitting_trials(run, workers=1)
    assert fitting_trials(run.model_copy(update={"max_concurrent": 3}), workers=1) == 3
