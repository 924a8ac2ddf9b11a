"""A GPU that cannot be used gets no further trial. Ray believes in two GPUs of this machine, which has none."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch

from core.cluster.broken_gpus import BrokenGpus, open_assigned_device
from core.cluster.capacity import fitting_trials
from core.cluster.connect import check_gpu_models
from core.config import RunOptions
from core.evaluation import pool

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU that works"),
]


@pytest.fixture(scope="module")
def two_gpus() -> Iterator[None]:
    t4 = {"accelerator_type:T4": 1}
    ray.init(address="local", num_cpus=2, num_gpus=2, resources=t4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_it_is_occupied_until_one_is_left(two_gpus: None) -> None:
    broken = BrokenGpus()
    with pytest.raises(ray.exceptions.RayTaskError) as raised:
        ray.get(ray.remote(num_cpus=0, num_gpus=1)(open_assigned_device).remote())
    line = broken.exclude(str(raised.value))
    assert line is not None
    assert "cannot be used" in line
    deadline = time.monotonic() + 600
    while ray.available_resources().get("GPU", 0) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert broken.exclude(str(raised.value)) is None, "the trial has to fail where it is the last one"
    assert broken.exclude("ValueError: of another kind") is None


def test_a_trial_on_a_gpu_needs_the_memory_of_cudas_libraries(two_gpus: None) -> None:
    options = {"cpus_per_worker": 0.01, "gpus_per_worker": 0.001}
    memory = sum(ray.cluster_resources()[name] for name in ("memory", "object_store_memory"))
    assert fitting_trials(RunOptions(**options), 1) == int(memory / 3.5e9)


def test_an_evaluation_keeps_one_process_per_gpu(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Worker:
        def __init__(self, device_share: float) -> None:
            pass

        def ready(self) -> None:
            pass

        def evaluate(self, task: int, grant: None) -> tuple[int, str]:
            # The first process would do all tasks before the second one has started.
            (tmp_path / str(os.getpid())).touch()
            until = time.monotonic() + 120
            while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
                time.sleep(0.02)
            return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]

    monkeypatch.setattr(pool, "BlockWorker", Worker)
    found = dict(pool.run_on_ray(range(12), RunOptions(gpus_per_worker=1, cpus_per_worker=0.1), slots=2))
    assert set(found) == set(range(12))
    assert len({process for process, _ in found.values()}) == 2
    assert len(set(found.values())) == 2, "a process keeps its GPU"


@pytest.mark.parametrize("name", ["tf32", "bf16"])
def test_formats_that_the_clusters_gpus_lack_are_refused(two_gpus: None, name: str) -> None:
    with pytest.raises(ValueError, match=f"--precision {name} is impossible on the cluster's T4 GPUs"):
        check_gpu_models(RunOptions(gpus_per_worker=1), ["fp32", name])
    check_gpu_models(RunOptions(gpus_per_worker=1), ["fp32", "fp16"])
    check_gpu_models(RunOptions(gpus_per_worker=0), [name])
