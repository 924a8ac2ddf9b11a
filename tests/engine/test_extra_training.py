"""A trial with extra pseudo-labelled images goes on to the same bits, and its record names the file's content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config import Cell
from core.data.extra import checksum
from core.records import TrialRecord

pytestmark = pytest.mark.numeric


def test_an_interrupted_trial_with_extra_images_goes_on_to_the_same_bits(
    tmp_path: Path,
    make_cell: Callable[..., Cell],
    run: Callable[..., TrialRecord],
    comparable: Callable[[TrialRecord], dict[str, Any]],
) -> None:
    def die(epoch: int, *_: Any) -> None:
        if epoch == 2:
            raise RuntimeError("died")

    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "more.npz", image=random.integers(0, 256, (30, 8, 8), np.uint8), label=random.integers(0, 5, 30)
    )
    content = checksum(tmp_path / "more.npz")
    cell = make_cell(extra_data="more.npz", extra_sha256=content, augment="crop-flip", method="pgd-at")
    whole = run(cell, folder="whole")
    with pytest.raises(RuntimeError, match="died"):
        run(cell, folder="broken", report=die)
    broken = run(cell, folder="broken")
    assert comparable(broken) == comparable(whole)
    assert whole.cell["extra_sha256"] == content
    assert whole.checkpoints != run(make_cell(method="pgd-at", augment="crop-flip"), folder="alone").checkpoints
