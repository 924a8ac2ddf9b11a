"""One measure on one block of images of one checkpoint, and its stored values."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.image_set import to_float
from core.evaluation.blocks import block_seed, results_folder
from core.evaluation.checkpoint_block import CheckpointBlock
from core.evaluation.measures.names import MEASURES
from core.evaluation.measures.per_image import measure_images
from core.evaluation.measures.spec import MeasureSpec
from core.storage import Store

Values = dict[str, NDArray[np.float32]]
"""Values of the images of a block by name, ``[n, ...]``."""


@dataclass(frozen=True, kw_only=True)
class MeasureTask(CheckpointBlock):
    """A block to measure."""

    spec: MeasureSpec

    @property
    def name(self) -> str:
        """Name of the file with the values in the store."""
        folder = results_folder(self.weights, self.size, self.seed)
        return f"{folder}/{self.spec.key}/{self.block.place}.npz"

    def finished(self) -> Values | None:
        """The stored values; None if there are none."""
        content = Store(self.store).read(self.name)
        return None if content is None else unpack(content)

    def run(self, device_name: str) -> Values:
        """Measure the block on ``device_name`` (``cpu`` or ``cuda``), and store the values."""
        model, chosen = self.load(MEASURES[self.spec.name].split, device_name)
        x, y = to_float(chosen.images.to(device_name)), chosen.labels.to(device_name)
        columns = measure_images(model, x, y, self.spec, block_seed(self.seed, self.block.number))
        values = {name: column.detach().float().cpu().numpy() for name, column in columns.items()}
        Store(self.store).write(self.name, pack(values))
        return values


def pack(values: Values) -> bytes:
    """The values as the bytes of an ``.npz`` file, which depend on nothing else."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **values)
    return buffer.getvalue()


def unpack(content: bytes) -> Values | None:
    """The values in the bytes of an ``.npz`` file; None if the file is damaged."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile):
        return None
