"""The targets of an evaluation: the checkpoint files to attack, and the tasks for each file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.config import Cell, ProtocolOptions
from core.config.default_paths import data_root
from core.data.load import check_files, load_dataset
from core.evaluation.attack_plan import attack_plan
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.blocks import split_blocks
from core.evaluation.checkpoint import Checkpoint, load_checkpoint, locate
from core.evaluation.options import EvaluationOptions, Which
from core.evaluation.task import BlockTask
from core.records import TrialRecord
from core.storage import Store


@dataclass(frozen=True)
class Target:
    """One checkpoint file, and the attacks and tasks of its evaluation."""

    label: str
    """Name in messages, such as ``beta=1 seed=0 selected``."""
    trial: str
    """Key of the checkpoint's trial; empty for a single file."""
    checkpoints: tuple[Which, ...]
    """All names of these weights, because the selected epoch may also be the last one."""
    specs: tuple[AttackSpec, ...]
    tasks: tuple[BlockTask, ...]


class Planner:
    """Makes targets from checkpoints. Each data set and the source of transfer attacks are read once.

    Args:
        options: the options of the evaluation.
        data_dir: folder, or ``s3://`` address, of the data sets.

    Raises:
        ValueError: the source of transfer attacks cannot be read.
    """

    def __init__(self, options: EvaluationOptions, data_dir: str) -> None:
        self.options, self.data_dir = options, data_root(data_dir)
        self.source: Checkpoint | None = None
        self._source_at: tuple[str, str, str] | None = None
        self._test_sizes: dict[str, int] = {}
        if options.source is not None:
            store, file = locate(options.source)
            self.source = load_checkpoint(store, file)
            self._source_at = (store.root, file, self.source.sha256)

    def trial_targets(self, record: TrialRecord, name: str, store: Store, protocol: ProtocolOptions) -> list[Target]:
        """The targets of a finished trial called `name`: its checkpoints, of which those with equal weights share one.

        Raises:
            ValueError: an attack is impossible for this cell, or the test set has fewer images than requested.
        """
        names: dict[str, list[Which]] = {}
        for which in dict.fromkeys(self.options.which):
            if sha256 := record.checkpoints.get(f"{which}.pt"):
                names.setdefault(sha256, []).append(which)
        cell = Cell.stored(record.cell, f"trial {record.key} of sweep {record.sweep}")
        targets = []
        for sha256, same in names.items():
            label = f"{name} {' = '.join(same)}"
            tasks, specs = self._work(label, store, f"{same[0]}.pt", sha256, cell, protocol)
            targets.append(Target(label, record.key, tuple(same), specs, tasks))
        return targets

    def file_target(self, store: Store, file: str, checkpoint: Checkpoint) -> Target:
        """The target of a single checkpoint file, evaluated with the default protocol.

        Raises:
            ValueError: as in `trial_targets`.
        """
        tasks, specs = self._work(file, store, file, checkpoint.sha256, checkpoint.cell, ProtocolOptions())
        return Target(file, "", (), specs, tasks)

    def _work(
        self, label: str, store: Store, file: str, sha256: str, cell: Cell, protocol: ProtocolOptions
    ) -> tuple[tuple[BlockTask, ...], tuple[AttackSpec, ...]]:
        if self.source is not None and self.source.cell.data.shape != cell.data.shape:
            raise ValueError(
                f"--source {self.options.source}: its images and classes {tuple(self.source.cell.data.shape)} "
                f"differ from those of {label}, {tuple(cell.data.shape)}"
            )
        specs = attack_plan(self.options, cell, protocol, self.source.sha256 if self.source else None)
        available = self._test_size(cell)
        images = self.options.images or available
        plugins = tuple(dict.fromkeys((*cell.plugins, *(self.source.cell.plugins if self.source else ()))))
        if images > available:
            raise ValueError(f"--images {images}: the test set of {cell.data.dataset} has {available} images")
        tasks = tuple(
            BlockTask(
                store=store.root,
                file=file,
                weights=sha256,
                data=cell.data.model_dump_json(),
                data_dir=self.data_dir,
                plugins=plugins,
                specs=specs,
                block=block,
                size=self.options.block,
                seed=self.options.seed,
                source=self._source_at if self.source else None,
            )
            for block in split_blocks(images, self.options.block)
        )
        return tasks, specs

    def _test_size(self, cell: Cell) -> int:
        data = cell.data.model_dump_json()
        if data not in self._test_sizes:
            check_files(cell.data, self.data_dir)
            self._test_sizes[data] = len(load_dataset(cell.data, self.data_dir).test)
        return self._test_sizes[data]


def evaluable(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The finished trials that were not censored. The network of a crashed or diverged trial cannot be judged."""
    return [r for r in records if r.verdict is not None and r.verdict.outcome != "censored"]
