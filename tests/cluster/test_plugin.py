"""A plug-in's method in a real sweep, evaluated from what the sweep stored. `test_hosts` trains it with two ranks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import LIMIT_S, Sweep
from tests.plugin_tables import printed_plugin

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
PRESET = """\
description: the printed plug-in
seeds: 1
plugins: [my_method.py]
protocol: {verdict_images: 20, square_queries: 5, pgd50_restarts: 1}
grids:
  - options: {dataset: digits, method: squeezing, epochs: 1, attack_steps: 1, batch_size: 500}
"""


def test_a_plugin_travels_with_its_sweep(sweep: Sweep) -> None:
    (sweep.folder / "my_method.py").write_text(printed_plugin())
    (sweep.folder / "mine.yaml").write_text(PRESET)

    def run(job: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *words]
        return subprocess.run(
            command,
            cwd=sweep.folder,
            env=sweep.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    trained = run("sweep_trades", "--preset", "mine.yaml")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    (record,) = sweep.records("mine").values()
    assert record["verdict"]["outcome"] != "censored", record["verdict"]
    assert re.fullmatch(r"my_method.py@\w{12}", record["cell"]["plugins"][0])
    (sweep.folder / "my_method.py").unlink()
    evaluated = run("evaluate", "--sweep", "mine", "--mode", "none", "--images", "20")
    assert evaluated.returncode == 0, evaluated.stdout + evaluated.stderr
    (sweep.folder / "my_method.py").write_text("from core.config import register_method\n")
    refused = run("sweep_trades", "--preset", "mine.yaml")
    assert refused.returncode == 2
    assert "plug-in my_method.py registers nothing" in refused.stderr
