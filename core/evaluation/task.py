"""One block of one checkpoint, and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from core.config.plugins import Plugin, use_plugin
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.block_run import BlockFile, Correct, run_block
from core.evaluation.blocks import Block
from core.evaluation.loaded import image_sets, network
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

    def finished(self) -> Correct | None:
        """The stored results of all attacks; None if a result is missing."""
        return self.results.finished(self.specs)

    def run(self, device_name: str) -> Correct:
        """See `evaluate_block`."""
        return evaluate_block(self, device_name)


def evaluate_block(task: BlockTask, device_name: str) -> Correct:
    """Attack one block on ``device_name`` (``cpu`` or ``cuda``), except for attacks with stored results."""
    for plugin in task.plugins:
        use_plugin(plugin)
    images = image_sets(task.data, task.data_dir).test
    model = network(task.store, task.file, task.weights, device_name)
    source = network(*task.source, device_name) if task.source else None
    chosen = images.take(torch.arange(task.block.start, task.block.stop))
    return run_block(model, chosen, task.specs, task.results, source)
