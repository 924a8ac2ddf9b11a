"""One block of one checkpoint, and its evaluation. The process caches the network and the test images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

from core.config import DataOptions
from core.config.plugins import Plugin, use_plugin
from core.data.image_set import ImageSet
from core.data.load import load_dataset
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.block_run import BlockFile, Correct, run_block
from core.evaluation.blocks import Block
from core.evaluation.checkpoint import load_checkpoint
from core.storage import Store


@dataclass(frozen=True)
class BlockTask:
    """A block to attack, in types that Ray can send to a worker."""

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
    specs: tuple[AttackSpec, ...]
    block: Block
    size: int
    seed: int
    source: tuple[str, str, str] | None
    """Store, file and SHA-256 of the checkpoint on which transfer attacks are made."""

    @property
    def results(self) -> BlockFile:
        """The stored results of this block."""
        return BlockFile(Store(self.store), self.weights, self.block, self.size, self.seed)


def evaluate_block(task: BlockTask, device_name: str) -> Correct:
    """Attack one block on ``device_name`` (``cpu`` or ``cuda``), except for attacks with stored results."""
    for plugin in task.plugins:
        use_plugin(plugin)
    images = _test_images(task.data, task.data_dir)
    model = _network(task.store, task.file, task.weights, device_name)
    source = _network(*task.source, device_name) if task.source else None
    chosen = images.take(torch.arange(task.block.start, task.block.stop))
    return run_block(model, chosen, task.specs, task.results, source)


@lru_cache(maxsize=1)
def _test_images(options: str, data_dir: str) -> ImageSet:
    return load_dataset(DataOptions.model_validate(json.loads(options)), data_dir).test


@lru_cache(maxsize=2)
def _network(store: str, file: str, sha256: str, device_name: str) -> nn.Module:
    return load_checkpoint(Store(store), file, sha256).model.to(device_name)
