"""The code of a training worker, in a process without a Ray cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from core.config import Cell, ProtocolOptions, Trial
from core.ledger.description import DESCRIPTION
from core.storage import Lease, Store
from core.sweep.worker import WorkerTask
from tests import tiny

LARGE = {"torchvision", "sympy", "torch._dynamo", "sklearn", "mlflow", "matplotlib"}
SCRIPT = """
import json, sys
import ray
from ray import tune
from core.sweep.worker import train_alone
ray.get_gpu_ids = lambda: []
tune.report = lambda metrics: None
train_alone(json.loads(sys.argv[1]))
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.slow
def test_a_trial_imports_no_large_library_that_it_does_not_use(tmp_path: Path) -> None:
    """Every process that trains would take a second longer for torchvision and sympy, or for torch's compiler."""
    trial = Trial(cell=Cell.from_flat(tiny.CELL), seed=0)
    store = Store(str(tmp_path / "sweep"))
    store.write(DESCRIPTION, b"{}")
    with Lease(store, "driver", lambda _: None) as held:
        task = WorkerTask(
            trial=trial.model_dump(mode="json"),
            protocol=ProtocolOptions(**tiny.VERDICT).model_dump(mode="json"),
            sweep="sweep",
            storage=str(tmp_path),
            sweep_store=store.root,
            store=store.child("trial").root,
            fence=asdict(held.fence),
            grant=None,
            patience_s=0.0,
            data_dir=str(tmp_path),
            commit="",
            plugins=[],
            checkpoint_s=20.0,
            timeout_s=None,
            device_share=1.0,
        )
        command = [sys.executable, "-c", SCRIPT, json.dumps(task)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert store.child("trial").read("record.json")
    assert LARGE & set(json.loads(ended.stdout)) == set()
