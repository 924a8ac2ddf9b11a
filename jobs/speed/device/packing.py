"""Several trials on one device at once, each in a process of its own."""

from __future__ import annotations

import multiprocessing as mp
import time
from functools import partial
from multiprocessing.synchronize import Barrier
from typing import Any

import torch

from jobs.speed.device.bench import Bench
from jobs.speed.device.subjects import resnet_cell, stepper, trainer_on
from jobs.speed.device.timing import synchronize

START_SECONDS = 180.0


def shared_device(bench: Bench) -> None:
    """Steps per second of one process and of several, at the smallest batch size and a larger one."""
    precision = bench.sizes.precisions[0]
    for batch in bench.sizes.batches[:3:2]:
        alone = 0.0
        for trials in bench.sizes.packed:
            what = f"steps of {trials} trial(s) at once, {precision}"
            needs = bench.sizes.packed_seconds * 2 + 20
            if bench.time_left < needs:
                bench.add(what, None, "", error="left out", batch=batch)
                continue
            try:
                rate = _rate(bench, trials, {"batch_size": batch, "precision": precision})
            except Exception as error:
                bench.add(what, None, "", error=f"{type(error).__name__}: {error}"[:300], batch=batch)
                continue
            alone = alone or rate
            bench.add(what, rate, "steps/s", batch=batch, over_one=round(rate / alone, 3))


def _rate(bench: Bench, trials: int, options: dict[str, Any]) -> float:
    context = mp.get_context("spawn")
    barrier, results = context.Barrier(trials), context.Queue()
    threads = max(1, torch.get_num_threads() // trials)
    work = partial(_train, bench.device.type, options, bench.sizes.packed_seconds, threads, barrier, results)
    processes = [context.Process(target=work, daemon=True) for _ in range(trials)]
    for process in processes:
        process.start()
    try:
        found = [results.get(timeout=START_SECONDS + 3 * bench.sizes.packed_seconds) for _ in processes]
    finally:
        for process in processes:
            process.kill()
    if failed := [value for value in found if isinstance(value, str)]:
        raise RuntimeError(failed[0])
    return float(sum(found))


def _train(device: str, options: dict[str, Any], seconds: float, threads: int, barrier: Barrier, results: Any) -> None:
    try:
        torch.set_num_threads(threads)
        place = torch.device(device)
        step = stepper(trainer_on(place, resnet_cell(**options)))
        for _ in range(2):
            step()
        synchronize(place)
        barrier.wait(START_SECONDS)
        started, steps = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            step()
            synchronize(place)
            steps += 1
        results.put(steps / (time.perf_counter() - started))
    except Exception as error:
        barrier.abort()
        results.put(f"{type(error).__name__}: {error}"[:300])
