from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import build_sweep, load_preset
from jobs.benchmark import tabulate
from jobs.speed import subjects
from jobs.speed.result import Settings

PRESETS = Path(__file__).parents[2] / "jobs" / "presets"


def count_rows(records: Sequence[Any], path: Path) -> None:
    """A replacement of the analysis that reads all rows and writes a file."""
    path.write_text(str(sum(len(record.trace) for record in records)))


@pytest.fixture
def small_resnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet-18 on small images, which take little time."""
    small = {"image_size": 8, "classes": 5, "validation_images": 20, "attack_steps": 1}
    monkeypatch.setattr(subjects, "RESNET_OPTIONS", {**subjects.RESNET_OPTIONS, **small})
    monkeypatch.setattr(subjects, "feasible_batch", lambda settings: 4)


@pytest.fixture
def settings() -> Callable[..., Settings]:
    """Settings of one short repetition, with preset fields-quick on few images."""
    preset = load_preset("fields-quick", PRESETS)
    few = {"classes": 5, "train_images": 228, "validation_images": 100, "test_images": 40}
    sweep = build_sweep(
        preset, preset_name="fields-quick", name="fields-quick", cell_overrides=few, protocol_overrides={}
    )

    def make(**options: Any) -> Settings:
        defaults: dict[str, Any] = {
            "device": torch.device("cpu"),
            "repeats": 1,
            "seconds": 1e-3,
            "say": lambda line: None,
            "fields": sweep,
            "sweep_command": [],
            "sweep_dir": None,
            "sweep_seeds": 1,
            "tabulate": tabulate,
            "analyse": count_rows,
            "analysis_trials": (54, 108),
            "driver_trials": (),
            "simulated_trials": (20, 40),
        }
        return Settings(**{**defaults, **options})

    return make
