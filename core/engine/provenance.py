"""What produced a record: versions, commit and hardware."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = ("unmask", "torch", "torchvision", "numpy", "ray", "mlflow", "pyautoattack")


def package_version(name: str) -> str:
    """Installed version, or ``source`` where the code runs without being installed (a Ray job's working directory)."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "source"


@cache
def git_commit() -> str:
    """Commit of the code, with ``-dirty`` if files differ from it; ``unknown`` outside a checkout."""
    folder = Path(__file__).parent
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def hardware(device: torch.device) -> str:
    """Model of the device that trained."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()} ({torch.get_num_threads()} threads)"
    return f"{platform.processor() or platform.machine()} ({torch.get_num_threads()} threads)"


def provenance(device: torch.device, commit: str) -> dict[str, str]:
    """Versions, commit, host and hardware, as a record stores them.

    Args:
        device: where the trial ran.
        commit: the driver's `git_commit`; a job's working directory on a worker has no history.
    """
    return {
        **{name: package_version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "commit": commit,
        "host": platform.node(),
        "hardware": hardware(device),
    }
