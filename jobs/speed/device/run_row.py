"""The process of one row: ``python -m jobs.speed.device.run_row ROW DEVICE FOLDER SECONDS``."""

from __future__ import annotations

import sys
from pathlib import Path

from core.engine.device import open_device
from jobs.speed.device.bench import Bench
from jobs.speed.device.rows import function


def main(row: str, device: str, folder: str, seconds: str) -> None:
    """Measure the row, and write its file after every measurement."""
    bench = Bench(row, open_device(device), Path(folder), float(seconds))
    function(row)(bench)
    bench.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
