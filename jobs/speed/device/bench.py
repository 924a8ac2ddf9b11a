"""The measurements of one row, which are stored as soon as they are made."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from core.engine.provenance import git_commit, hardware
from jobs.speed.device.sizes import Sizes, sizes_for


class Bench:
    """Collects the entries of one row, and writes its file after each of them. A row that is cut off keeps the others.

    Args:
        row: name of the row.
        device: device to measure.
        folder: folder of the rows' files.
        seconds: time limit of the row, from now on.
    """

    def __init__(self, row: str, device: torch.device, folder: Path, seconds: float) -> None:
        self.row, self.device, self.folder = row, device, folder
        self.sizes: Sizes = sizes_for(device)
        self._started = time.monotonic()
        self._limit = seconds
        self._entries: list[dict[str, Any]] = []
        self._header = header(device)

    def add(self, what: str, value: float | None, unit: str, **details: Any) -> None:
        """Store a measurement.

        Args:
            what: name of the quantity, the same on all devices.
            value: its value in ``unit``; None if it could not be measured.
            unit: unit of the value.
            details: sizes, settings and further values, in JSON types.
        """
        self._entries.append({"what": what, "value": value, "unit": unit, **details})
        shown = "none" if value is None else f"{value:.4g}"
        print(f"  {what}: {shown} {unit} {json.dumps(details)}", flush=True)
        self._write(finished=False)

    def attempt(self, what: str, measure: Callable[[], None], needs: float = 0.0, **details: Any) -> None:
        """Call ``measure``. An error becomes an entry, and the row goes on.

        Args:
            what: name of the quantity.
            measure: adds the measurement.
            needs: seconds that it takes; if fewer are left, it is left out, and the entry says so.
            details: sizes and settings of the measurement.
        """
        if self.time_left < needs:
            self.add(what, None, "", error=f"left out: {self.time_left:.0f} s were left", **details)
            return
        try:
            measure()
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            self.add(what, None, "", error=f"{type(error).__name__}: {reason:.300}", **details)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def finish(self) -> None:
        """Store that the row has ended."""
        self._write(finished=True)

    @property
    def time_left(self) -> float:
        """Seconds until the limit."""
        return self._limit - (time.monotonic() - self._started)

    def _write(self, *, finished: bool) -> None:
        content = {
            "row": self.row,
            "device": self.device.type,
            "header": self._header,
            "seconds": round(time.monotonic() - self._started, 1),
            "finished": finished,
            "entries": self._entries,
        }
        path = row_file(self.folder, self.device.type, self.row)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(content, indent=1) + "\n")
        draft.replace(path)


def row_file(folder: Path, device: str, row: str) -> Path:
    """The file of a row's measurements on a device."""
    return folder / f"{device}-{row}.json"


def header(device: torch.device) -> dict[str, Any]:
    """The conditions of a measurement: hardware, versions and commit."""
    found: dict[str, Any] = {
        "hardware": hardware(device),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": git_commit(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": _driver(),
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "multiprocessors": properties.multi_processor_count,
        }
    return found


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
