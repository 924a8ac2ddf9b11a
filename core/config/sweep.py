"""A sweep: cells x seeds under one protocol, and the resources it may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from core.config.base import Number, Options, Unset
from core.config.cell import Cell, Stream, TrialRerun
from core.config.names import ClusterAddress, RoleArn, SweepName
from core.config.protocol import ProtocolOptions
from core.records import Outcome
from core.records.key import trial_key

MAX_SEEDS = 100_000
"""Largest number of seeds per cell; also the distance between the seeds of two groups of pinned trials."""
MAX_TRIALS = 1_000_000
MAX_EPOCHS = 10**9
"""Largest number of epochs of all trials together; a million trials of a thousand epochs."""
MAX_PIN_GROUPS = 10_000
"""Largest number of groups of pinned trials for which all seeds stay below 2**32."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class SeededCell(Options):
    """A cell and its seeds: their number, counted from the sweep's first seed, or the seeds themselves."""

    cell: Cell
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)] | Annotated[tuple[Seed, ...], Field(min_length=1)]

    def numbered(self, first_seed: int) -> Sequence[int]:
        """The cell's seeds."""
        return range(first_seed, first_seed + self.seeds) if isinstance(self.seeds, int) else self.seeds


class Rerun(Options):
    """The origin of the seeds of a sweep that trains trials of an earlier sweep again."""

    sweep: SweepName
    where: tuple[Outcome, ...] = Field(min_length=1)
    counterparts: dict[str, str] = Field(
        description="cell id -> id of the earlier sweep's cell that has the same seeds"
    )

    def of(self, cell: Cell) -> TrialRerun:
        """The origin of the seeds of one cell."""
        return TrialRerun(sweep=self.sweep, where=self.where, counterpart=self.counterparts[cell.id])


class Sweep(Options):
    """The trials of a sweep. The k-th seed of every cell is ``first_seed + k``, which allows paired comparisons.

    All trials of a group in `pin_groups` share the seeds of the group's pinned streams. The seeds of the other streams
    differ between groups (by ``MAX_SEEDS`` from one group to the next), so that groups are independent in them.
    """

    name: SweepName
    preset: str
    entries: tuple[SeededCell, ...] = Field(min_length=1)
    protocol: ProtocolOptions
    first_seed: int = Field(0, ge=0, lt=2**31)
    pin_groups: tuple[dict[Stream, int], ...] = Field(({},), min_length=1)
    rerun: Rerun | None = None

    @property
    def trials(self) -> int:
        """Number of trials of a sweep with a fixed number of seeds."""
        return len(self.pin_groups) * sum(len(entry.numbered(self.first_seed)) for entry in self.entries)

    def keys(self, entry: SeededCell) -> Iterator[str]:
        """The keys of an entry's trials in all groups."""
        for group, pins in enumerate(self.pin_groups):
            named = {str(stream): pinned for stream, pinned in pins.items()}
            for seed in entry.numbered(self.first_seed):
                yield trial_key(entry.cell.id, seed + group * MAX_SEEDS, named)

    def with_cells(self, change: Callable[[SeededCell], Cell]) -> Sweep:
        """The sweep with the cells that ``change`` returns. Cells that become equal are one, with the first's seeds."""
        entries: dict[str, SeededCell] = {}
        counterparts: dict[str, str] = {}
        for entry in self.entries:
            cell = change(entry)
            entries.setdefault(cell.id, entry.model_copy(update={"cell": cell}))
            if self.rerun:
                counterparts[cell.id] = self.rerun.counterparts[entry.cell.id]
        rerun = self.rerun.model_copy(update={"counterparts": counterparts}) if self.rerun else None
        return self.model_copy(update={"entries": tuple(entries.values()), "rerun": rerun})

    @model_validator(mode="after")
    def _can_be_listed(self) -> Sweep:
        if self.trials > MAX_TRIALS:
            raise ValueError(
                f"{len(self.entries)} cells x seeds x {len(self.pin_groups)} pinned groups are {self.trials} trials; "
                f"allowed are {MAX_TRIALS}: take fewer values, or fewer --seeds"
            )
        epochs = len(self.pin_groups) * sum(
            len(entry.numbered(self.first_seed)) * entry.cell.training.epochs for entry in self.entries
        )
        if epochs > MAX_EPOCHS:
            raise ValueError(
                f"{self.trials} trials have {epochs:.3g} epochs together; allowed are {MAX_EPOCHS:.0e}: take fewer "
                "--seeds or --epochs"
            )
        return self


class StorageOptions(Options):
    """Locations of data, checkpoints, records and tracking."""

    storage: Annotated[str | None, Unset("$UNMASK_STORAGE, else ./results")] = Field(
        None, description="folder or s3://BUCKET/PREFIX of checkpoints and records"
    )
    worker_role: Annotated[RoleArn | None, Unset("$UNMASK_WORKER_ROLE, else workers use keys of their own")] = Field(
        None,
        description="ARN of the role that the driver assumes; each worker gets temporary keys that allow access to its "
        "own trial or evaluated checkpoint only; needs an s3:// --storage",
    )
    data_dir: str = Field("data", description="folder or s3://BUCKET/PREFIX of the data sets' published files")
    download: bool = Field(False, description="download missing files of data sets that torchvision provides")
    mlflow_uri: Annotated[str | None, Unset("$MLFLOW_TRACKING_URI, else the SQLite file ./mlflow.db")] = Field(
        None, description="MLflow tracking URI"
    )
    wait_for_servers: Number = Field(
        120,
        ge=0,
        le=10_080,
        description="minutes to wait while S3 is away, and at the start for MLflow, before the sweep ends",
    )
    checkpoint_s: Number = Field(
        20,
        ge=0,
        description="seconds between two checkpoints of a trial, or 50 times what one takes if that is more; 0: a "
        "checkpoint after every epoch",
    )


class ClusterOptions(Options):
    """The Ray cluster, the resources of a trial, and the limits after which a trial is restarted or censored."""

    address: Annotated[
        ClusterAddress | None, Unset("$RAY_ADDRESS, else the cluster of the Ray job, else a new local cluster")
    ] = Field(None, description="address of the Ray cluster: HOST:PORT of its head node")
    cpus_per_worker: Number = Field(1, ge=0, le=1024, description="number of CPUs per DDP rank")
    gpus_per_worker: Annotated[
        Number | None, Unset("1 if the cluster has GPUs and a training step has 10 GFLOP or more, else 0")
    ] = Field(None, ge=0, le=1, description="number of GPUs per DDP rank; may be a fraction")
    max_concurrent: Annotated[int | None, Unset("as many as fit")] = Field(
        None, ge=1, description="largest number of trials that run at once"
    )
    max_failures: int = Field(
        2, ge=0, le=100, description="number of restarts of a trial after crashes before it is censored"
    )
    max_crashes: int = Field(
        10,
        ge=2,
        le=10_000,
        description="number of crashes in succession, of all trials together and with no epoch in between, after which "
        "the sweep stops; at least 2 for each trial that runs at once",
    )
    silence_s: Number = Field(
        14400,
        gt=0,
        description="seconds without a report after which a trial counts as hanging and is restarted from its "
        "checkpoint; 20 times the trial's longest time between reports, if that is more",
    )
    trial_timeout_s: Annotated[Number | None, Unset("no limit")] = Field(
        None, gt=0, description="seconds of training after which a trial is censored"
    )
    device_tflops: Number = Field(
        30,
        ge=1e-6,
        le=1e6,
        description="sustained TFLOP/s of one device, for the cost estimates of --dry-run and --plan",
    )
    price: Annotated[Number | None, Unset("costs are shown in device-hours")] = Field(
        None, ge=0, description="price of one device-hour, to show spent and expected costs in money"
    )
    max_cost: Annotated[Number | None, Unset("no limit")] = Field(
        None, gt=0, description="money at which the sweep ends as with --max-device-hours; needs --price"
    )


class RunOptions(StorageOptions, ClusterOptions):
    """Locations and resources of a run. These options do not change results."""

    @model_validator(mode="after")
    def _possible(self) -> RunOptions:
        if self.cpus_per_worker == 0 and self.gpus_per_worker == 0:
            raise ValueError("cpus_per_worker 0 needs gpus_per_worker above 0")
        return self

    def check_workers(self, workers: int) -> None:
        """Check the resources of a trial of ``workers`` ranks.

        Raises:
            ValueError: several ranks would share a GPU, which NCCL refuses when they have started.
        """
        if workers > 1 and 0 < (self.gpus_per_worker or 0) < 1:
            raise ValueError(
                f"--gpus-per-worker {self.gpus_per_worker:g} is impossible with --workers {workers}, because ranks "
                "cannot share a GPU; allowed are 1, or 0 for CPUs"
            )
