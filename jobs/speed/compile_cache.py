"""The cost of ``compile`` for the first trial on a machine, and for the next trial, in a new process."""

from __future__ import annotations

import multiprocessing as mp
import os
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import torch

from core.config import Cell
from jobs.speed.result import Result, Settings
from jobs.speed.subjects import make_trainer, ten_step_cell, training_images

CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""torch's variable for the cache folder. By default all processes of a user share a folder for temporary files."""


def compile_costs(settings: Settings) -> Iterator[Result]:
    """Seconds of a trial's first epoch with an empty cache, over those of the next trial with the filled cache."""
    compiled, eager = (ten_step_cell(settings, compile=on) for on in (True, False))
    with tempfile.TemporaryDirectory(prefix="unmask-benchmark-") as folder:
        spent = []
        for name, cell in (("first", compiled), ("second", compiled), ("uncompiled", eager)):
            settings.say(f"compile-cache: the {name} trial")
            spent.append(_first_epoch(cell, folder))
    first, second, plain = spent
    compared = "first trial / second trial, first epoch; "
    compared += f"{compiled.model.model}, {compiled.attack.attack_steps} attack step(s)"
    note = f"first epochs of {first:.1f} and {second:.1f} s, and {plain:.1f} s without compile"
    yield Result("compile-cache", compared, (first / second,), "x", note=note)


def _first_epoch(cell: Cell, cache: str) -> float:
    """Seconds of the first epoch of a trial in a new process, as on another worker."""
    context = mp.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=train, args=(theirs, cell.flat(), cache), daemon=True)
    process.start()
    theirs.close()
    seconds: float = mine.recv()
    process.join()
    return seconds


def train(connection: Connection, options: dict[str, object], cache: str) -> None:
    """Train one epoch with a new trainer, and send the seconds it took."""
    os.environ[CACHE] = cache
    torch.set_num_threads(1)
    cell, device = Cell.from_flat(options), torch.device("cpu")
    images = training_images(cell, device)
    started = time.perf_counter()
    make_trainer(cell, device).run_epoch(images, 1)
    connection.send(time.perf_counter() - started)
