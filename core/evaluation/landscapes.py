"""Loss landscapes of stored checkpoints (TRADES instability paper, Figure 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from core.data.image_set import to_float
from core.data.load import check_files, load_dataset
from core.evaluation.checkpoint import load_checkpoint
from core.ledger.ledger import Ledger
from core.probes import Landscape, loss_landscape
from core.records import CheckpointName, TrialRecord

IMAGES, POINTS = 3, 31
RADII = 1
"""Offsets go to this multiple of the training's epsilon, as far as its attacks see; the paper prints no range."""


class StoredCheckpoint(Protocol):
    """Which weights of which trial."""

    @property
    def record(self) -> TrialRecord:
        """The trial's."""

    @property
    def checkpoint(self) -> CheckpointName:
        """The name of its weights."""


def checkpoint_landscapes(
    checkpoints: Mapping[str, StoredCheckpoint], ledger: Ledger, data_dir: str
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Landscapes around the first three test images, in eval mode on the CPU, with the same directions' seed for all.

    Args:
        checkpoints: stored weights of trials with one data set and one epsilon, by title.
        ledger: of the sweep, beside which the weights are.
        data_dir: folder, or ``s3://`` address, of the data sets.

    Returns:
        Offsets ``[points]`` in the images' unit, and losses ``[points, points]`` by ``title, image k``, the checkpoints
        beside each other for every image.

    Raises:
        ValueError: weights or data are missing.
        CorruptFileError: weights are not those of the record.
    """
    found: dict[str, Landscape] = {}
    for title, shown in checkpoints.items():
        record, file = shown.record, f"{shown.checkpoint}.pt"
        loaded = load_checkpoint(ledger.trial_store(record.key), file, record.checkpoints[file])
        check_files(loaded.cell.data, data_dir)
        test = load_dataset(loaded.cell.data, data_dir).test
        found[title] = loss_landscape(
            loaded.model,
            to_float(test.images[:IMAGES]),
            test.labels[:IMAGES],
            radius=RADII * loaded.cell.attack.epsilon,
            points=POINTS,
            seed=0,
        )
    offsets = next(iter(found.values())).offsets
    return offsets, {f"{title}, image {i}": found[title].loss[i] for i in range(IMAGES) for title in found}
