"""Loss landscapes of stored checkpoints (TRADES instability paper, Figure 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from core.checkpoints.checkpoint import load_checkpoint
from core.data.image_set import to_float
from core.data.load import check_files, load_dataset
from core.ledger.description import read_description
from core.ledger.ledger import Ledger
from core.ledger.plugins import use_stored_plugins
from core.probes import Landscape, loss_landscape
from core.records import CheckpointName, TrialRecord

IMAGES, POINTS = 3, 31
RADII = 1
"""Largest offset as a multiple of the training's epsilon, which is the range of its attacks. The paper states no range.
"""


class StoredCheckpoint(Protocol):
    """A trial and the name of one of its checkpoints."""

    @property
    def record(self) -> TrialRecord:
        """The trial's record."""

    @property
    def checkpoint(self) -> CheckpointName:
        """The name of the checkpoint."""


def checkpoint_landscapes(
    checkpoints: Mapping[str, StoredCheckpoint], ledger: Ledger, data_dir: str
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Loss landscapes around the first three test images.

    The networks are in eval mode on the CPU. All landscapes use the same seed for their directions.

    Args:
        checkpoints: stored checkpoints by title, all with one data set and one epsilon.
        ledger: the sweep's ledger, which knows the stores of the trials.
        data_dir: folder, or ``s3://`` address, of the data sets.

    Returns:
        Offsets ``[points]`` in units of the images in [0, 1], and losses ``[images, points, points]`` by title.

    Raises:
        ValueError: a checkpoint, the data set or a plug-in is missing.
        CorruptFileError: a checkpoint does not match its record.
    """
    if description := read_description(ledger.store):
        use_stored_plugins(ledger.store, description)
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
    return offsets, {title: landscape.loss for title, landscape in found.items()}
