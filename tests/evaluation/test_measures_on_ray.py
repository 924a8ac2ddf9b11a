"""The measures of a sweep, as a user starts them on a Ray cluster."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.config import ProtocolOptions
from core.evaluation.measures.task import MeasureTask, unpack
from core.evaluation.options import EvaluationOptions
from core.evaluation.target import MeasureTarget, Planner
from core.ledger.ledger import Ledger
from core.storage import Store

from .conftest import TinySweep
from .test_measures import elsewhere

MEASURES = (
    *("adversarial-vulnerability", "margin", "linearity-error", "lipschitz", "boundary-distortion", "calibration"),
    *("minimal-deepfool", "weight-landscape", "input-landscape"),
)
SETTINGS = {"images": 14, "block": 8, "measure_steps": 3, "seed": 3}


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("one_thread")
def test_blocks_on_ray_are_those_in_sequence_bit_for_bit(
    trained: TinySweep, tmp_path: Path, evaluate_on_ray: Callable[..., str]
) -> None:
    storage = tmp_path / "results"
    shutil.copytree(trained.storage, storage)
    arguments = ["--measure", *MEASURES, "--which", "selected", "last"]
    arguments += [part for name, value in SETTINGS.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    arguments += ["--storage", str(storage), "--mlflow-uri", f"sqlite:///{tmp_path}/mlflow.db"]

    printed = evaluate_on_ray(*arguments)
    assert "0 blocks to evaluate" not in printed
    assert "Local Lipschitz constant, selected checkpoints: 14 test images, 3 steps, seed 3" in " ".join(
        printed.split()
    )

    ledger = Ledger(Store(str(storage)).child("tiny"), "tiny")
    options = EvaluationOptions.model_validate(
        {**SETTINGS, "mode": "off", "measure": MEASURES, "which": ("selected", "last")}
    )
    planner = Planner(options, ".")
    for record in trained.records:
        store, measured = ledger.trial_store(record.key), ledger.record(record.key)
        assert measured is not None
        assert len(measured.measures) == 2 * len(MEASURES)
        # another test of this session may have evaluated the copied sweep
        assert measured.model_copy(update={"measures": (), "evaluations": ()}) == record
        for target in planner.trial_targets(record, "seed", store, ProtocolOptions()):
            assert isinstance(target, MeasureTarget)
            blocks = [moved(task, tmp_path / "sequence").run("cpu") for task in target.tasks]
            for which in target.checkpoints:
                found = measured.measured(which, target.spec.name)
                assert found is not None
                assert found.values == target.collect(blocks, options).values
                content = store.read(f"values-{which}-{target.spec.name}.npz")
                assert content is not None
                values = unpack(content)
                assert values is not None
                for name, whole in values.items():
                    assert np.array_equal(whole, np.concatenate([block[name] for block in blocks])), name


def moved(task: MeasureTask, root: Path) -> MeasureTask:
    return elsewhere(task, str(root / task.weights))
