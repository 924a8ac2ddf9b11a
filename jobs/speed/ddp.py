"""Two DDP ranks against one. Each rank is a process with one thread, because Ray gives it one CPU."""

from __future__ import annotations

import multiprocessing as mp
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import torch
import torch.distributed as dist

from core.config import Cell
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.models import build_model
from jobs.speed.result import Goal, Result, Settings, ratios
from jobs.speed.subjects import resnet_cell, ten_step_cell, training_images
from jobs.speed.timing import take_turns

ONE, TWO = "1 worker", "2 workers"


def ddp_speedups(settings: Settings) -> Iterator[Result]:
    """Seconds of one worker over those of two, for epochs over the same global batches, on the CPU with gloo."""
    yield _speedup(ten_step_cell(settings), settings)
    yield _speedup(resnet_cell(settings), settings.fewer(), batches=1)


def _speedup(cell: Cell, settings: Settings, batches: int | None = None) -> Result:
    setting = f"{cell.model.model}, {cell.attack.attack_steps} attack step(s), global batch {cell.training.batch_size}"
    with ExitStack() as stack:
        settings.say(f"ddp: {setting}: starting 3 processes")
        one, two = (stack.enter_context(Team(cell, workers, batches)) for workers in (1, 2))
        seconds = take_turns({ONE: one.run_epoch, TWO: two.run_epoch}, settings, f"ddp: {setting}")
    return Result(
        "ddp", f"{ONE} / {TWO}; {setting}, gloo, 1 thread each", ratios(seconds, ONE, TWO), "x", Goal(">=", 1.6)
    )


class Team:
    """Processes that train one network together. They train one epoch per request and use no CPU between requests."""

    def __init__(self, cell: Cell, workers: int, batches: int | None) -> None:
        self.cell, self.workers, self.batches = cell, workers, batches
        self._processes: list[mp.process.BaseProcess] = []
        self._connections: list[Connection] = []

    def __enter__(self) -> Team:
        context = mp.get_context("spawn")
        self._folder = tempfile.TemporaryDirectory(prefix="unmask-benchmark-")
        for rank in range(self.workers):
            mine, theirs = context.Pipe()
            rendezvous = f"file://{Path(self._folder.name) / 'rendezvous'}"
            arguments = (theirs, self.cell.flat(), rank, self.workers, self.batches, rendezvous)
            process = context.Process(target=work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._connections.append(mine)
        self._wait()
        return self

    def run_epoch(self) -> None:
        """Train one epoch and wait for all ranks."""
        for connection in self._connections:
            connection.send("epoch")
        self._wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(timeout=10)
            process.terminate()
        self._folder.cleanup()

    def _wait(self) -> None:
        for connection in self._connections:
            connection.recv()


def work(
    connection: Connection, options: dict[str, object], rank: int, workers: int, batches: int | None, rendezvous: str
) -> None:
    """One rank: train an epoch per message, until the connection is closed."""
    torch.set_num_threads(1)
    if workers > 1:
        dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=workers)
    cell, ranks = Cell.from_flat(options), Ranks(rank, workers)
    streams = Streams.spawn(0, {})
    trainer = Trainer(cell, build_model(cell.model, cell.data.shape, streams.integer("init")), streams, ranks)
    images = training_images(cell, ranks.device, batches)
    connection.send("ready")
    while True:
        try:
            connection.recv()
        except EOFError:
            break
        trainer.run_epoch(images, 1)
        connection.send("done")
    if workers > 1:
        dist.destroy_process_group()
