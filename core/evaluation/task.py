"""One block of one checkpoint, and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.evaluation.attack_spec import AttackSpec
from core.evaluation.block_run import BlockFile, Correct, run_block
from core.evaluation.checkpoint_block import CheckpointBlock
from core.evaluation.loaded import network
from core.storage import Store
from core.storage.address import is_s3
from core.storage.rights import Rights, objects


@dataclass(frozen=True, kw_only=True)
class BlockTask(CheckpointBlock):
    """A block to attack."""

    specs: tuple[AttackSpec, ...]
    source: tuple[str, str, str] | None
    """Store, file and SHA-256 of the checkpoint on which transfer attacks are made."""

    @property
    def rights(self) -> Rights:
        """See `CheckpointBlock.rights`. The source of transfer attacks is read as well."""
        rights = super().rights
        if self.source is None or not is_s3(self.source[0]):
            return rights
        return replace(rights, read=(*rights.read, objects(*self.source[:2])))

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
    model, images = task.load("test", device_name)
    source = network(*task.source, device_name) if task.source else None
    return run_block(model, images, task.specs, task.results, source)
