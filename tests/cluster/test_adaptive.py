"""An adaptive sweep with an audit arm, killed, continued and reported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import LIMIT_S, Sweep

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
REPORT = Path(__file__).parents[2] / "jobs" / "report.py"
MAX_TRIALS = 8
ADAPTIVE = (
    *("--name", "adaptive", "--epochs", "12", "--audit", "0.5"),
    *("--until-width", "0.75", "--max-trials", str(MAX_TRIALS)),
)
INTERVAL = re.compile(r"95 %\s+interval:\s+(\w[\w-]*)")


def test_killed_it_trains_every_seed_once_and_reports_an_interval_for_its_rule(sweep: Sweep) -> None:
    driver = sweep.start(*ADAPTIVE)
    sweep.wait_for(lambda: len(sweep.records("adaptive")) >= 2)
    driver.kill()
    driver.wait()
    before = sweep.records("adaptive")
    printed = sweep.run(*ADAPTIVE)
    records = sweep.records("adaptive")
    assert {key: records[key] for key in before} == before
    assert sorted(record["seed"] for record in records.values()) == list(range(len(records)))
    assert {record["allocation"] for record in records.values()} == {"adaptive"}
    assert {record["protocol"]["audit"] for record in records.values()} == {0.5}
    # A verdict may differ between processors. A cell that used its whole budget of trials may not have reached its
    # width; only then does the interval without a rule of stopping apply.
    kinds = {"sequential"} if len(records) < MAX_TRIALS else {"sequential", "anytime"}
    shown_kinds = INTERVAL.findall(printed)
    assert shown_kinds, printed
    assert set(shown_kinds) <= kinds
    report = [sys.executable, str(REPORT), "--sweep", "adaptive"]
    shown = subprocess.run(report, cwd=sweep.folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert shown.returncode == 0, shown.stderr
    assert INTERVAL.findall(shown.stdout) == shown_kinds
    assert (sweep.folder / "adaptive-report.html").exists()
