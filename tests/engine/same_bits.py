"""Trains trials of stored sweeps once more and compares them bit by bit with what an older version stored.

    python -m tests.engine.same_bits RESULTS [SWEEP ...] [--most 2]

Compared: cell ids, weights, traces, gradient rows and verdicts. Not compared: times, attempts, provenance and the
version of the code that a measurement names. The machine must be the one that wrote the sweeps, because kernels differ
between processors.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from core.config import Cell, ProtocolOptions, Trial
from core.data import load_dataset
from core.engine.ranks import Ranks
from core.engine.trial import TrialContext, run_trial
from core.records import TrialRecord
from core.storage import Store


def comparable(record: TrialRecord) -> dict[str, Any]:
    """Everything of a record that has to be the same; weights are compared as tensors."""
    plain = record.model_dump(
        exclude={"sweep", "protocol", "device_seconds", "attempts", "provenance", "checkpoints", "evaluations"}
    )
    plain["trace"] = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in record.trace]
    for evidence in plain["verdict"]["evidence"]:
        for measurement in evidence["measurements"]:
            del measurement["library"]
    return plain


def train(record: TrialRecord, folder: str, rank: int, workers: int) -> None:
    """Run the record's trial on one rank, into a store at ``folder``."""
    torch.set_num_threads(1)
    if workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}-rendezvous", rank=rank, world_size=workers)
    cell = Cell.stored(record.cell, record.key)
    trial = Trial(cell=cell, seed=record.seed, pins=record.pins, audit=record.audit, allocation=record.allocation)  # type: ignore[arg-type]
    context = TrialContext("again", Store(folder), Ranks(rank, workers), lambda epoch, rows, decided: None, "none")
    run_trial(trial, ProtocolOptions.model_validate(record.protocol), load_dataset(cell.data, Path()), context)


def differences(old: Path, new: Path) -> list[str]:
    """What differs between two stored trials."""
    before, after = (TrialRecord.model_validate_json((folder / "record.json").read_text()) for folder in (old, new))
    one, other = comparable(before), comparable(after)
    found = [name for name in one if one[name] != other[name]]
    if before.checkpoints.keys() != after.checkpoints.keys():
        return [*found, "checkpoints"]
    for name in before.checkpoints:
        first, second = (torch.load(folder / name, weights_only=True) for folder in (old, new))
        same = first["epoch"] == second["epoch"] and first["model"].keys() == second["model"].keys()
        if not same or any(not torch.equal(first["model"][key], second["model"][key]) for key in first["model"]):
            found.append(name)
    return found


def main() -> int:
    """Compare, print a line per trial, and return the number of trials that differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("sweeps", nargs="*")
    parser.add_argument("--most", type=int, default=2, help="trials per sweep")
    given = parser.parse_args()
    different = 0
    for sweep in given.sweeps or sorted(folder.name for folder in given.results.iterdir()):
        for stored in sorted((given.results / sweep / "trials").glob("*/record.json"))[: given.most]:
            record = TrialRecord.model_validate_json(stored.read_text())
            workers = record.cell["workers"]
            with tempfile.TemporaryDirectory() as folder:
                ranks = [
                    multiprocessing.get_context("spawn").Process(
                        target=train, args=(record, f"{folder}/trial", rank, workers)
                    )
                    for rank in range(workers)
                ]
                for process in ranks:
                    process.start()
                for process in ranks:
                    process.join()
                found = differences(stored.parent, Path(folder) / "trial")
            print(f"{sweep}/{record.key}: {', '.join(found) or 'same bits'}", flush=True)
            different += bool(found)
    return different


if __name__ == "__main__":
    sys.exit(main())
