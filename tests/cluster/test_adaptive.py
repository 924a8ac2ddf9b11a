"""An adaptive sweep with an audit arm, killed twice, continued and reported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import Sweep

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
REPORT = Path(__file__).parents[2] / "jobs" / "report.py"
ADAPTIVE = ("--name", "adaptive", "--epochs", "12", "--until-width", "0.75", "--max-trials", "8", "--audit", "0.5")


def test_killed_twice_it_trains_every_seed_once_and_reports_an_anytime_interval(sweep: Sweep) -> None:
    for finished in (1, 2):
        driver = sweep.start(*ADAPTIVE)
        sweep.wait_for(lambda finished=finished: len(sweep.records("adaptive")) >= finished)
        driver.kill()
        driver.wait()
        sweep.kill_all()
    before = sweep.records("adaptive")
    printed = sweep.run(*ADAPTIVE)
    records = sweep.records("adaptive")
    assert {key: records[key] for key in before} == before
    assert sorted(record["seed"] for record in records.values()) == list(range(len(records)))
    assert {record["allocation"] for record in records.values()} == {"adaptive"}
    assert {record["protocol"]["audit"] for record in records.values()} == {0.5}
    assert "anytime" in printed
    report = [sys.executable, str(REPORT), "--sweep", "adaptive"]
    shown = subprocess.run(report, cwd=sweep.folder, capture_output=True, text=True, timeout=200, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "anytime" in shown.stdout
    assert (sweep.folder / "adaptive-report.html").exists()
