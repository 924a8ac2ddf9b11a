"""CPU time of a training step in this checkout relative to another one, measured in turns on this machine.

    git worktree add /tmp/before COMMIT
    python jobs/speed/two_checkouts.py --before /tmp/before

Each checkout trains in a process of its own with one thread. CPU time is measured and not wall time, because other work
on the machine disturbs it less. It is a tool for changes of the engine, and no row of the benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SMALL = {
    "dataset": "fields",
    "classes": 10,
    "train_images": 1200,
    "validation_images": 400,
    "epsilon": 0.17,
    "lr": 0.01,
    "model": "small-cnn",
}
TEN_STEPS = {**SMALL, "batch_size": 128, "attack_steps": 10, "attack_step_size": 0.0425}
ONE_STEP = {**SMALL, "batch_size": 16, "attack_steps": 1, "attack_step_size": 0.17}
PGD_AT = {"method": "pgd-at", "inner": "ce", "attack_start": "uniform"}
CELLS: dict[str, dict[str, Any]] = {
    "TRADES, 1 step, batch 16": ONE_STEP,
    "TRADES, 10 steps, batch 128": TEN_STEPS,
    "TRADES, 10 steps, batch 128, AWP": {**TEN_STEPS, "awp_radius": 0.005},
    "PGD-AT, 1 step, batch 16": {**ONE_STEP, **PGD_AT},
    "PGD-AT, 10 steps, batch 128": {**TEN_STEPS, **PGD_AT},
}
"""Options that versions since 0.1.0 have."""


class Checkout:
    """A process that trains by the code of one checkout."""

    def __init__(self, tree: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--train"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=tree,
            text=True,
        )

    def seconds(self, name: str, epochs: int) -> float:
        """CPU-seconds per step over some epochs of the cell ``name``."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([name, epochs]) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main() -> int:
    """Measure, and print a row per cell: the median of the ratios, the lowest and the highest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")
    parser.add_argument("--repeats", type=int, default=9, help="number of turns")
    parser.add_argument("--epochs", type=int, default=3, help="number of epochs of each side in a turn")
    parser.add_argument("--only", nargs="+", choices=list(CELLS), default=list(CELLS))
    given = parser.parse_args()
    after, before = Checkout(Path(__file__).resolve().parents[2]), Checkout(given.before.resolve())
    print(f"{'CPU time per step, this checkout over the other':50} median  low   high  ms here")
    for name in given.only:
        for side in (after, before):
            side.seconds(name, 1)
        pairs = []
        for repeat in range(given.repeats):
            sides = (after, before) if repeat % 2 else (before, after)
            found = {side: side.seconds(name, given.epochs) for side in sides}
            pairs.append((found[after], found[before]))
        found_ratios = [here / there for here, there in pairs]
        here = 1000 * statistics.median(pair[0] for pair in pairs)
        low, high = min(found_ratios), max(found_ratios)
        print(f"{name:50} {statistics.median(found_ratios):.3f}   {low:.2f}  {high:.2f}  {here:.2f}", flush=True)
    return 0


def train() -> None:
    """Answer requests on the standard input: train epochs of a cell, and print the CPU-seconds per step."""
    import torch

    from core.config import Cell
    from core.data.load import load_dataset
    from core.engine.ranks import Ranks
    from core.engine.seeding import Streams
    from core.engine.trainer import Trainer
    from core.models import build_model

    torch.set_num_threads(1)
    trainers = {}
    for line in sys.stdin:
        name, epochs = json.loads(line)
        cell = Cell.from_flat(CELLS[name])
        if name not in trainers:
            streams = Streams.spawn(0, {})
            model = build_model(cell.model, cell.data.shape, streams.integer("init"))
            images = load_dataset(cell.data, Path()).train
            trainers[name] = Trainer(cell, model, streams, Ranks()), images
        trainer, images = trainers[name]
        started = time.process_time()
        for _ in range(epochs):
            trainer.run_epoch(images, 1)
        steps = epochs * -(-len(images) // cell.training.batch_size)
        print((time.process_time() - started) / steps, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--train"]:
        train()
    else:
        sys.exit(main())
