"""Deterministic algorithms of trials on a GPU."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.config import Cell
from core.engine import trial
from core.engine.determinism import deterministic
from core.records import TrialRecord

CUDA = torch.device("cuda")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mode", ["default", "warn"])
def test_settings_hold_inside_and_are_restored_after_an_error(mode: str) -> None:
    before = torch.utils.deterministic.fill_uninitialized_memory
    torch.set_deterministic_debug_mode(mode)
    try:
        kept = torch.get_deterministic_debug_mode()
        with contextlib.suppress(KeyError), deterministic(CUDA):
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
            assert not torch.utils.deterministic.fill_uninitialized_memory
            raise KeyError
        assert torch.get_deterministic_debug_mode() == kept
        assert torch.utils.deterministic.fill_uninitialized_memory == before
    finally:
        torch.set_deterministic_debug_mode("default")


def test_a_cpu_needs_no_setting() -> None:
    with deterministic(torch.device("cpu")):
        assert torch.get_deterministic_debug_mode() == 0


def test_an_operation_without_a_deterministic_form_is_an_error() -> None:
    """`put_` is the operation of torch's list that is refused on a CPU, too."""
    with deterministic(CUDA), pytest.raises(RuntimeError, match="put_"):
        torch.zeros(3).put_(torch.tensor([1]), torch.ones(1))


@pytest.mark.slow
def test_cublas_is_configured_before_the_gpu_is_used() -> None:
    code = """
import os, torch
from core.engine import device
def zeros(*shape, **how):
    raise RuntimeError(os.environ.get("CUBLAS_WORKSPACE_CONFIG", "not set"))
torch.zeros = zeros
try:
    device.open_device("cuda")
except device.BrokenDeviceError as error:
    print(error)
"""
    environment = {name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"}
    for given, used in (({}, ":4096:8"), ({"CUBLAS_WORKSPACE_CONFIG": ":16:8"}, ":16:8")):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**environment, **given}, cwd=ROOT, capture_output=True, text=True
        )
        assert done.stdout.strip() == used, done.stderr


def test_training_measuring_and_judging_run_inside(
    make_cell: Callable[..., Cell], run: Callable[..., TrialRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def noted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **how: object) -> object:
            seen.append(torch.get_deterministic_debug_mode())
            return function(*args, **how)

        return call

    monkeypatch.setattr(trial, "deterministic", lambda device: deterministic(CUDA))
    monkeypatch.setattr(trial.Trainer, "run_epoch", noted(trial.Trainer.run_epoch))
    monkeypatch.setattr(trial, "validation_row", noted(trial.validation_row))
    monkeypatch.setattr(trial.VerdictMeasurement, "judge", noted(trial.VerdictMeasurement.judge))
    run(make_cell(epochs=1))
    assert set(seen) == {2}
    assert len(seen) >= 3
    assert torch.get_deterministic_debug_mode() == 0
