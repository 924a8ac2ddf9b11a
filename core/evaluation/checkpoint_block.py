"""One block of images of one checkpoint, which is attacked or measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from core.config.plugins import Plugin, use_plugin
from core.data.image_set import ImageSet
from core.evaluation.blocks import FOLDER, Block
from core.evaluation.loaded import image_sets, network
from core.storage.address import is_s3
from core.storage.rights import Rights, objects


@dataclass(frozen=True, kw_only=True)
class CheckpointBlock:
    """A block of a checkpoint, in types that Ray can send to a worker."""

    store: str
    """Root of the store with the checkpoint, which also receives the results."""
    file: str
    weights: str
    """SHA-256 of the checkpoint."""
    data: str
    """Options of the data set as JSON."""
    data_dir: str
    plugins: tuple[Plugin, ...]
    """The plug-ins that the cells of the checkpoints use."""
    block: Block
    size: int
    """Images per block in the division to which the block belongs."""
    seed: int

    @property
    def rights(self) -> Rights:
        """The rights that the work on the block needs on the storage, whose address is ``s3://``."""
        results = objects(self.store, FOLDER, "*")
        data = (objects(self.data_dir, "*"),) if is_s3(self.data_dir) else ()
        return Rights("evaluation", (objects(self.store, self.file), results, *data), write=(results,))

    def load(self, split: Literal["train", "test"], device_name: str) -> tuple[nn.Module, ImageSet]:
        """The network on ``device_name`` (``cpu`` or ``cuda``), and the block's images."""
        for plugin in self.plugins:
            use_plugin(plugin)
        images: ImageSet = getattr(image_sets(self.data, self.data_dir), split)
        model = network(self.store, self.file, self.weights, device_name)
        return model, images.take(torch.arange(self.block.start, self.block.stop))
