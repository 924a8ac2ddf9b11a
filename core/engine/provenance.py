"""Provenance of a record: versions, commit and hardware."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from core.config import Cell
from core.engine.ranks import Ranks
from core.source import git_commit, package_version, source_tree

__all__ = ["git_commit", "hardware", "package_version", "provenance"]

PACKAGES = ("unmask", "torch", "torchvision", "numpy", "ray", "mlflow", "pyautoattack")


def hardware(device: torch.device) -> str:
    """Name of the GPU model, or of the CPU model with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()} ({torch.get_num_threads()} threads)"
    return f"{platform.processor() or platform.machine()} ({torch.get_num_threads()} threads)"


def provenance(ranks: Ranks, commit: str, cell: Cell) -> dict[str, str]:
    """Versions, commit, source tree, plug-ins, hosts and hardware, as a record stores them.

    Args:
        ranks: the ranks of the trial.
        commit: `git_commit` of the driver, because the working directory of a Ray job has no git history.
        cell: the trial's cell. Without plug-ins, the provenance has no entry about them.
    """
    plugins = ", ".join(map(str, cell.plugins))
    return {
        **{name: package_version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "commit": commit,
        "core": source_tree(),
        **({"plug-ins": plugins} if plugins else {}),
        "host": ", ".join(dict.fromkeys(ranks.hosts)),
        "hardware": hardware(ranks.device),
    }
