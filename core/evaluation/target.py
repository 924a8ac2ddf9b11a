"""The targets of an evaluation: the checkpoint files to attack or measure, and the tasks for each file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.checkpoints.checkpoint import Checkpoint, load_checkpoint, locate
from core.config import Cell, ProtocolOptions
from core.config.default_paths import data_root
from core.data.load import check_files, load_dataset
from core.evaluation.attack_plan import TRANSFER, attack_plan
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.block_run import Correct
from core.evaluation.blocks import split_blocks
from core.evaluation.collect import measurements
from core.evaluation.measures.collect import joined, measured
from core.evaluation.measures.names import MEASURES
from core.evaluation.measures.spec import MeasureSpec, measure_plan
from core.evaluation.measures.task import MeasureTask, Values
from core.evaluation.options import EvaluationOptions, Which
from core.evaluation.task import BlockTask
from core.records import Measured, Measurement, TrialRecord
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
    source: str = ""
    """Name of the network on which transfer attacks are made, such as ``resnet34-1a2b3c4d``."""

    def collect(self, blocks: Sequence[Correct], options: EvaluationOptions) -> tuple[Measurement, ...]:
        """The accuracies over all blocks. Transfer attacks have the name of their source in their key."""
        return tuple(
            replace(m, attack=f"{m.attack} from {self.source}") if m.attack.startswith(TRANSFER) else m
            for m in measurements(self.specs, blocks, options)
        )


@dataclass(frozen=True)
class MeasureTarget:
    """One checkpoint file, and one measure of it with its tasks. The first attributes are those of `Target`."""

    label: str
    trial: str
    checkpoints: tuple[Which, ...]
    spec: MeasureSpec
    pixels: int
    """Number of values of an image."""
    tasks: tuple[MeasureTask, ...]

    def collect(self, blocks: Sequence[Values], options: EvaluationOptions) -> Measured:
        """The measure over all blocks."""
        return measured(self.spec, joined(blocks), options, self.pixels)

    def stored_values(self) -> Values:
        """The values of all images, as the finished tasks stored them."""
        return joined([values for task in self.tasks if (values := task.finished()) is not None])


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
        self._sizes: dict[str, dict[str, int]] = {}
        if options.source is not None:
            store, file = locate(options.source)
            self.source = load_checkpoint(store, file)
            self._source_at = (store.root, file, self.source.sha256)

    def trial_targets(
        self, record: TrialRecord, name: str, store: Store, protocol: ProtocolOptions
    ) -> list[Target | MeasureTarget]:
        """The targets of a finished trial called ``name``. Checkpoints with equal weights share one target.

        Raises:
            ValueError: an attack is impossible for this cell, or the test set has fewer images than requested.
        """
        names: dict[str, list[Which]] = {}
        for which in dict.fromkeys(self.options.which):
            if sha256 := record.checkpoints.get(f"{which}.pt"):
                names.setdefault(sha256, []).append(which)
        cell = Cell.stored(record.cell, f"trial {record.key} of sweep {record.sweep}")
        targets: list[Target | MeasureTarget] = []
        for sha256, same in names.items():
            label = f"{name} {' = '.join(same)}"
            targets += self._targets(label, record.key, tuple(same), store, f"{same[0]}.pt", sha256, cell, protocol)
        return targets

    def file_targets(self, store: Store, file: str, checkpoint: Checkpoint) -> list[Target | MeasureTarget]:
        """The targets of a single checkpoint file, evaluated with the default protocol.

        Raises:
            ValueError: as in `trial_targets`.
        """
        return self._targets(file, "", (), store, file, checkpoint.sha256, checkpoint.cell, ProtocolOptions())

    def _targets(
        self,
        label: str,
        trial: str,
        names: tuple[Which, ...],
        store: Store,
        file: str,
        sha256: str,
        cell: Cell,
        protocol: ProtocolOptions,
    ) -> list[Target | MeasureTarget]:
        found: list[Target | MeasureTarget] = []
        if self.options.mode != "off":
            tasks, specs = self._work(label, store, file, sha256, cell, protocol)
            found.append(Target(label, trial, names, specs, tasks, self._source_name))
        shape = cell.data.shape
        for spec in measure_plan(self.options, cell, protocol):
            measures = self._measure_tasks(spec, store, file, sha256, cell)
            pixels = shape.channels * shape.image_size**2
            found.append(MeasureTarget(f"{label} {spec.name}", trial, names, spec, pixels, measures))
        return found

    @property
    def _source_name(self) -> str:
        return f"{self.source.cell.model.model}-{self.source.sha256[:8]}" if self.source else ""

    def _measure_tasks(
        self, spec: MeasureSpec, store: Store, file: str, sha256: str, cell: Cell
    ) -> tuple[MeasureTask, ...]:
        images = self._images(cell, MEASURES[spec.name].split)
        return tuple(
            MeasureTask(
                store=store.root,
                file=file,
                weights=sha256,
                data=cell.data.model_dump_json(),
                data_dir=self.data_dir,
                plugins=tuple(cell.plugins),
                spec=spec,
                block=block,
                size=self.options.block,
                seed=self.options.seed,
            )
            for block in split_blocks(images, self.options.block)
        )

    def _work(
        self, label: str, store: Store, file: str, sha256: str, cell: Cell, protocol: ProtocolOptions
    ) -> tuple[tuple[BlockTask, ...], tuple[AttackSpec, ...]]:
        if self.source is not None and self.source.cell.data.shape != cell.data.shape:
            raise ValueError(
                f"--source {self.options.source}: its images and classes {tuple(self.source.cell.data.shape)} "
                f"differ from those of {label}, {tuple(cell.data.shape)}"
            )
        specs = attack_plan(self.options, cell, protocol, self.source.sha256 if self.source else None)
        images = self._images(cell, "test")
        plugins = tuple(dict.fromkeys((*cell.plugins, *(self.source.cell.plugins if self.source else ()))))
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

    def _images(self, cell: Cell, split: Literal["train", "test"]) -> int:
        data = cell.data.model_dump_json()
        if data not in self._sizes:
            check_files(cell.data, self.data_dir)
            sets = load_dataset(cell.data, self.data_dir)
            self._sizes[data] = {"train": len(sets.train), "test": len(sets.test)}
        available = self._sizes[data][split]
        images = self.options.images or available
        if images > available:
            kind = "training" if split == "train" else split
            raise ValueError(f"--images {images}: the {kind} set of {cell.data.dataset} has {available} images")
        return images


def evaluable(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The finished trials that were not censored. The network of a crashed or diverged trial cannot be judged."""
    return [r for r in records if r.verdict is not None and r.verdict.outcome != "censored"]
