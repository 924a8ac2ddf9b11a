"""Train the same small sweeps by two checkouts of unmask on this machine, and compare all weights, records and ids.

    git worktree add /tmp/before COMMIT
    python tests/golden/same_bits.py --before /tmp/before

A change that only moves or renames code must print no difference. The comparison ignores times, hosts, versions and
commits. It takes some minutes. It is a tool for such changes and not a test.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

PRESET = str(Path(__file__).resolve().parents[2] / "jobs" / "presets" / "fields-quick.yaml")
SMALL = (
    *("--preset", PRESET),
    *("--train-images", "300", "--test-images", "100", "--validation-images", "100", "--classes", "10"),
    *("--verdict-images", "60", "--square-queries", "50", "--pgd50-restarts", "1", "--confirm-every", "1"),
    *("--fosc-grace", "1", "--fosc-patience", "1"),
)
KILLED = (
    *("--name", "golden-killed", "--beta", "1", "6", "--batch-size", "16", "--epochs", "40", "--seeds", "1"),
    *("--no-stop", "--checkpoint-s", "0.5", *SMALL),
)
SWEEPS: dict[str, tuple[str, ...]] = {
    "fixed": (
        *("--beta", "1", "6", "--batch-size", "16", "--epochs", "4", "--seeds", "2", "--no-stop"),
        *("--fosc-threshold", "0.3", *SMALL),
    ),
    "pgd": (
        *("--method", "pgd-at", "--inner", "ce", "--attack-start", "uniform", "--batch-size", "64", "--epochs", "3"),
        *("--attack-steps", "1", "--attack-step-size", "0.17", "--seeds", "2", *SMALL),
    ),
    "pinned": (
        *("--pin-seed", "init", "--pin-value", "0", "1", "--beta", "1", "--batch-size", "64", "--epochs", "2"),
        *("--seeds", "2", *SMALL),
    ),
    "healed": ("--seeds-from", "golden-fixed", "--where", "unstable", "stable", "--heal", "fosc", "--no-stop"),
    "adaptive": (
        *("--beta", "1", "6", "--batch-size", "64", "--epochs", "2", "--max-trials", "5", "--until-width", "0.5"),
        *("--audit", "0.5", *SMALL),
    ),
    "awp": (
        *("--awp-radius", "0.005", "--attack-steps", "3", "--attack-step-size", "0.05", "--beta", "1"),
        *("--batch-size", "64", "--epochs", "3", "--seeds", "1", "--gradient-stride", "2", "--fast", "false", *SMALL),
    ),
    "twoworkers": ("--workers", "2", "--beta", "1", "--batch-size", "64", "--epochs", "2", "--seeds", "1", *SMALL),
}
TIMES = ("time/train_s", "time/eval_s")
LEFT_OUT = (
    *("device_seconds", "lost_device_seconds", "epoch_device_seconds", "provenance", "took_part", "sha256"),
    *("feasibility", "schema_version", "run_id", "sweep"),
)


def main() -> int:
    """Train by both checkouts and print the differences. Exit code 0 means identical results, and 1 a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")
    parser.add_argument("--only", nargs="+", choices=list(SWEEPS), default=list(SWEEPS))
    given = parser.parse_args()
    after = Path(__file__).resolve().parents[2]
    with TemporaryDirectory() as folder:
        found = {
            tree: _results(tree, Path(folder) / name, given.only)
            for name, tree in (("before", given.before.resolve()), ("after", after))
        }
    before, now = found.values()
    differences = [
        f"{key}: {_difference(before.get(key), now.get(key))}"
        for key in sorted(before | now)
        if _difference(before.get(key), now.get(key))
    ]
    print("\n".join(differences) or f"{len(now)} trials: the same weights, records and ids")
    return 1 if differences else 0


def _results(tree: Path, folder: Path, sweeps: list[str]) -> dict[str, dict[str, Any]]:
    """Every trial's record by sweep and key, without fields that depend on time and machine."""
    folder.mkdir()
    for name in sweeps:
        print(f"{tree}: {name}", flush=True)
        subprocess.run(
            [
                *(sys.executable, str(tree / "jobs" / "sweep_trades.py"), "--name", f"golden-{name}", *SWEEPS[name]),
                *("--storage", str(folder), "--mlflow-uri", f"sqlite:///{folder}/mlflow.db"),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(tree), "UNMASK_COMMIT": "none"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    files = sorted(folder.glob("golden-*/trials/*/record.json"))
    return {f"{file.parts[-4]} {file.parent.name}": _bits(file) for file in files}


def _bits(file: Path) -> dict[str, Any]:
    record = json.loads(file.read_text())
    record["checkpoints"] = {name: _weights(file.with_name(name)) for name in record["checkpoints"]}
    for row in record["trace"]:
        for name in TIMES:
            row.pop(name)
    for evidence in record["verdict"]["evidence"]:
        for measurement in evidence["measurements"]:
            measurement.pop("library")
    return {name: value for name, value in record.items() if name not in LEFT_OUT}


def _weights(file: Path) -> str:
    """Digest of the weights alone: the file also names the cell, which may have gained options."""
    model = torch.load(file, weights_only=True, map_location="cpu")["model"]
    return hashlib.sha256(b"".join(name.encode() + model[name].numpy().tobytes() for name in sorted(model))).hexdigest()


def _difference(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """The fields that differ. Options that only one version has are not compared; the cell's id is."""
    if before is None or after is None:
        return "only after" if before is None else "only before"
    for part in ("cell", "protocol"):
        shared = before[part].keys() & after[part].keys()
        before, after = ({**side, part: {name: side[part][name] for name in shared}} for side in (before, after))
    return ", ".join(name for name in before | after if before.get(name) != after.get(name))


if __name__ == "__main__":
    sys.exit(main())
