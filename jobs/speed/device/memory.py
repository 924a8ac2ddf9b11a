"""The memory of a whole trial."""

from __future__ import annotations

import resource
import tempfile

import torch

from core.config import Cell, ProtocolOptions, Trial
from core.engine.ranks import Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.storage import Store
from jobs.speed.device.bench import Bench
from jobs.speed.device.subjects import dataset_of

PROTOCOL = {"verdict_images": 512, "square_queries": 20, "pgd50_restarts": 1}


def whole_trial(bench: Bench) -> None:
    """One epoch, validation, checkpoint and verdict of the judged network's cell, in a process that does nothing else.

    The memory that is used on the device contains that of other processes on it.
    """
    cell = Cell.from_flat({**bench.sizes.robust, "epochs": 1})
    dataset = dataset_of(cell)
    with tempfile.TemporaryDirectory(prefix="unmask-device-") as folder:
        context = TrialContext("device", Store(folder), Ranks(device=bench.device), lambda *_: None, "", Cadence(0, 0))
        record = run_trial(Trial(cell=cell, seed=0), ProtocolOptions(**PROTOCOL), lambda: dataset, context)
    assert record is not None
    batch = cell.training.batch_size
    if bench.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(bench.device)
        allocated, held = (
            torch.cuda.max_memory_allocated(bench.device),
            torch.cuda.max_memory_reserved(bench.device),
        )
        bench.add("largest memory of tensors", allocated / 1e6, "MB", batch=batch)
        bench.add("largest memory that torch has reserved", held / 1e6, "MB", batch=batch)
        bench.add("memory that is used on the device", (total - free) / 1e6, "MB", batch=batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    bench.add("largest resident memory of the process", peak, "MB", batch=batch, model=cell.model.model)
    bench.add("a trial of one epoch", record.device_seconds, "s", batch=batch, model=cell.model.model)
