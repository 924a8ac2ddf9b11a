"""A sweep: cells x seeds under one protocol, and the resources it may use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from core.config.base import Number, Options, Unset
from core.config.cell import Cell, Stream
from core.config.names import ClusterAddress, SweepName
from core.config.protocol import ProtocolOptions
from core.records import Outcome

MAX_SEEDS = 100_000
"""Per cell; also how far apart the seeds of two groups of pinned trials are."""
MAX_TRIALS = 1_000_000
MAX_PIN_GROUPS = 10_000
"""Largest number of groups of pinned trials: all their seeds are below 2**32."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class SeededCell(Options):
    """A cell and the seeds it is trained with: how many, from the sweep's first on, or which."""

    cell: Cell
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)] | Annotated[tuple[Seed, ...], Field(min_length=1)]

    def numbered(self, first_seed: int) -> Sequence[int]:
        """The seeds themselves."""
        return range(first_seed, first_seed + self.seeds) if isinstance(self.seeds, int) else self.seeds


class Rerun(Options):
    """Where a sweep's seeds come from, if it trains some trials of an earlier sweep again."""

    sweep: SweepName
    where: tuple[Outcome, ...] = Field(min_length=1)
    counterparts: dict[str, str] = Field(description="cell id -> id of the earlier sweep's cell whose seeds it has")


class Sweep(Options):
    """What is trained. The k-th seed of every cell is ``first_seed + k``: cells can be compared pair by pair.

    Trials of a group of `pin_groups` share the seeds of its streams. Its other streams have seeds of their own, which
    no other group has (``MAX_SEEDS`` further on from group to group), so that groups differ by chance alone.
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
        """Number of trials, if seeds are not added while looking."""
        return len(self.pin_groups) * sum(len(entry.numbered(self.first_seed)) for entry in self.entries)

    @model_validator(mode="after")
    def _can_be_listed(self) -> Sweep:
        if self.trials > MAX_TRIALS:
            raise ValueError(
                f"{len(self.entries)} cells x seeds x {len(self.pin_groups)} pinned groups are {self.trials} trials; "
                f"allowed are {MAX_TRIALS}: take fewer values, or fewer --seeds"
            )
        return self


class StorageOptions(Options):
    """Where data, checkpoints, records and tracking are."""

    storage: Annotated[str | None, Unset("$UNMASK_STORAGE, else ./results")] = Field(
        None, description="folder, or s3://BUCKET/PREFIX, for checkpoints and records"
    )
    data_dir: str = Field("data", description="folder, or s3://BUCKET/PREFIX, of the data sets' standard files")
    download: bool = Field(False, description="fetch missing data files where torchvision can")
    mlflow_uri: Annotated[str | None, Unset("$MLFLOW_TRACKING_URI, else the SQLite file ./mlflow.db")] = Field(
        None, description="MLflow tracking URI"
    )
    checkpoint_s: Number = Field(20, ge=0, description="seconds between checkpoints of a trial")


class ClusterOptions(Options):
    """The Ray cluster, what a trial gets of it, and when a trial is restarted or given up."""

    address: Annotated[ClusterAddress | None, Unset("$RAY_ADDRESS, a job's cluster, or a new local one")] = Field(
        None, description="HOST:PORT of a Ray cluster's head"
    )
    cpus_per_worker: Number = Field(1, ge=0, le=1024, description="CPUs of one DDP rank")
    gpus_per_worker: Annotated[Number | None, Unset("1 if the cluster has any, else 0")] = Field(
        None, ge=0, le=1, description="GPUs of one DDP rank; may be a fraction"
    )
    max_concurrent: Annotated[int | None, Unset("as many as fit")] = Field(None, ge=1, description="trials at once")
    max_failures: int = Field(2, ge=0, le=100, description="restarts of a trial after a crash before it is censored")
    silence_s: Number = Field(
        14400,
        gt=0,
        description="seconds of silence, or 20 times the trial's longest if more, after which a trial is taken to "
        "hang, is ended and goes on from its checkpoint; verdicts are silent, too",
    )
    trial_timeout_s: Annotated[Number | None, Unset("never")] = Field(
        None, gt=0, description="training seconds after which a trial is censored"
    )
    device_tflops: Number = Field(
        30, ge=1e-6, le=1e6, description="sustained TFLOP/s of a device, for --dry-run's estimate"
    )
    price: Annotated[Number | None, Unset("costs are shown in device-hours")] = Field(
        None, ge=0, description="price of a device-hour: the cost so far, and expected"
    )


class RunOptions(StorageOptions, ClusterOptions):
    """Where and with what a sweep runs. Nothing here changes a result."""

    @model_validator(mode="after")
    def _possible(self) -> RunOptions:
        if self.cpus_per_worker == 0 and self.gpus_per_worker == 0:
            raise ValueError("cpus_per_worker 0 needs gpus_per_worker above 0")
        return self
