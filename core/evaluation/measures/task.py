"""One measure on one block of images of one checkpoint, and its stored values."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.config.plugins import Plugin, use_plugin
from core.data.image_set import to_float
from core.evaluation.blocks import Block, block_seed
from core.evaluation.loaded import image_sets, network
from core.evaluation.measures.names import MEASURES
from core.evaluation.measures.per_image import measure_images
from core.evaluation.measures.spec import MeasureSpec
from core.storage import Store

Values = dict[str, NDArray[np.float32]]
"""Values of the images of a block by name, ``[n, ...]``."""


@dataclass(frozen=True)
class MeasureTask:
    """A block to measure, in types that Ray can send to a worker."""

    store: str
    """Root of the store with the checkpoint, which also receives the values."""
    file: str
    weights: str
    """SHA-256 of the checkpoint."""
    data: str
    """Options of the data set as JSON."""
    data_dir: str
    plugins: tuple[Plugin, ...]
    spec: MeasureSpec
    block: Block
    size: int
    """Images per block in the division to which the block belongs."""
    seed: int

    @property
    def name(self) -> str:
        """Name of the file with the values in the store."""
        folder = f"evaluation/{self.weights[:16]}/block{self.size}-seed{self.seed}/{self.spec.key}"
        return f"{folder}/{self.block.start:06d}-{self.block.stop:06d}.npz"

    def finished(self) -> Values | None:
        """The stored values; None if there are none."""
        content = Store(self.store).read(self.name)
        return None if content is None else unpack(content)

    def run(self, device_name: str) -> Values:
        """Measure the block on ``device_name`` (``cpu`` or ``cuda``), and store the values."""
        for plugin in self.plugins:
            use_plugin(plugin)
        images = getattr(image_sets(self.data, self.data_dir), MEASURES[self.spec.name].split)
        model = network(self.store, self.file, self.weights, device_name)
        chosen = images.take(torch.arange(self.block.start, self.block.stop))
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
