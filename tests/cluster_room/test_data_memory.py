"""A data set that no node can hold is refused when a sweep joins its cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import ray
import yaml

import core
from core.cluster.autoscaling import CLUSTER_FILE
from core.cluster.data_memory import check_data_fits
from core.config import DataOptions, RunOptions

RUN = RunOptions(gpus_per_worker=0)
LARGE = DataOptions(train_images=1_000_000, image_size=256, channels=3, test_images=400)
"""197 GB: 1,000,400 x 256 x 256 x 3 bytes."""


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Mapping[str, float]]:
    """The resources of the nodes that Ray reports, of a cluster without a cluster file."""
    found: list[Mapping[str, float]] = []
    monkeypatch.setattr(
        ray, "nodes", lambda: [{"NodeID": str(i), "Resources": n, "Alive": True} for i, n in enumerate(found)]
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return found


def node(gigabytes: float, cpus: float = 8) -> Mapping[str, float]:
    return {"CPU": cpus, "memory": 0.7e9 * gigabytes, "object_store_memory": 0.3e9 * gigabytes}


def test_the_largest_node_that_trains_decides(nodes: list[Mapping[str, float]]) -> None:
    nodes += [node(64), node(190), node(500, cpus=0)]
    with pytest.raises(
        ValueError, match=r"--train-images 1000000 .* --image-size 256: .* 197 GB .* largest node has 190"
    ):
        check_data_fits([DataOptions(), LARGE], RUN)
    check_data_fits([DataOptions()], RUN)
    nodes.append(node(200))
    check_data_fits([LARGE], RUN)


def test_published_images_are_compared_too(nodes: list[Mapping[str, float]]) -> None:
    """Tiny ImageNet is 110,000 x 64 x 64 x 3 bytes, which are 1.35 GB."""
    tiny = DataOptions(dataset="tiny-imagenet-200")
    nodes.append(node(1.3))
    with pytest.raises(ValueError, match=r"--dataset tiny-imagenet-200: the images would take 1.35 GB"):
        check_data_fits([tiny], RUN)
    nodes.append(node(1.4))
    check_data_fits([tiny], RUN)


def test_where_a_memory_is_not_known_nothing_is_refused(
    nodes: list[Mapping[str, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_data_fits([LARGE], RUN)
    nodes += [node(64)]
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    check_data_fits([LARGE], RUN.model_copy(update={"max_concurrent": 4}))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    types = {"head": {}, "worker": {"resources": {"CPU": 8}, "max_workers": 2}}
    file = {"available_node_types": types, "head_node_type": "head", "max_workers": 2}
    (tmp_path / CLUSTER_FILE).write_text(yaml.safe_dump(file))
    check_data_fits([LARGE], RUN)


@pytest.mark.cluster
@pytest.mark.slow
def test_a_sweep_ends_before_a_worker_starts(tmp_path: Path) -> None:
    """786 GB, which is less than the largest size that is refused without a cluster."""
    job = Path(core.__file__).parents[1] / "jobs" / "sweep_trades.py"
    words = ["--preset", "fields-quick", "--train-images", "1000000", "--image-size", "512", "--channels", "3"]
    done = subprocess.run(
        [sys.executable, str(job), *words, "--name", "large"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(job.parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stdout
    assert "the images would take 787 GB of memory in each training process" in done.stdout + done.stderr
    assert not list((tmp_path / "results" / "large").glob("trials/*"))
