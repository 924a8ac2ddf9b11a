"""Stores of released versions, which the current version can read, report, continue and rerun.

``stores/VERSION/SWEEP`` is a small sweep of that version, with the weights of only one trial. ``rates.csv`` is the
output of that version's ``report.py --format csv``. `same_bits.py` created the sweeps.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.questions.countable_trials import countable_trials
from analysis.questions.rates import cell_rates
from core.config import Cell
from core.ledger.description import read_description
from core.ledger.ledger import Ledger
from core.storage import Store
from jobs import report
from tests.bad_input.harness import run
from tests.golden.same_bits import KILLED, SMALL
from tests.servers.shared_ray import SharedRay

STORES = Path(__file__).parent / "stores"
SWEEPS = sorted(path.parent for path in STORES.glob("*/*/sweep.json"))
JOBS = Path(__file__).parents[2] / "jobs"
ONE_AT_A_TIME = ("--max-concurrent", "1")


def _label(store: Path) -> str:
    return f"{store.parent.name}-{store.name}"


@pytest.mark.parametrize("store", SWEEPS, ids=_label)
def test_every_cell_keeps_its_id(store: Path) -> None:
    description = read_description(Store(str(store)))
    assert description is not None
    for cell_id, options in description.cells.items():
        assert Cell.stored(options, str(store)).id == cell_id
    description.protocol_options()


@pytest.mark.parametrize("store", [store for store in SWEEPS if (store / "rates.csv").exists()], ids=_label)
def test_rates_and_costs_are_those_that_the_old_version_reported(store: Path) -> None:
    records = list(Ledger(Store(str(store)), store.name).records().values())
    counted, _ = countable_trials(records)
    with (store / "rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = cell_rates(counted, rows[0]["label"], interval=rows[0]["interval_kind"])
    cells = {cell.cell_id: cell for cell in found}
    assert {row["cell"] for row in rows} == cells.keys()
    for row in rows:
        cell = cells[row["cell"]]
        assert (row["unstable"], row["trials"], row["healed"]) == tuple(
            map(str, (cell.unstable, cell.trials, cell.healed))
        )
        assert int(row["epochs_run"]) == cell.epochs_run
        assert float(row["pgd10_accuracy"]) == pytest.approx(cell.pgd10_accuracy, abs=1e-12)
        assert float(row["device_seconds"]) == pytest.approx(cell.device_seconds, rel=1e-12)
        assert float(row["interval_low"]) == pytest.approx(cell.interval.low, abs=1e-9)
        assert float(row["interval_high"]) == pytest.approx(cell.interval.high, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("store", [store for store in SWEEPS if (store / "rates.csv").exists()], ids=_label)
def test_the_report_is_written(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printed = run(report.main, ["--sweep", store.name, "--storage", str(store.parent), "--output", "report.html"])
    assert printed.code == 0
    assert "/ trials" in printed.out
    assert store.name in Path("report.html").read_text()


@pytest.mark.cluster
@pytest.mark.slow
def test_a_sweep_that_an_old_driver_left_half_done_goes_on_from_its_checkpoints(
    tmp_path: Path, shared_ray: SharedRay, empty_store: bytes
) -> None:
    shutil.copytree(STORES / "v0.1.0" / "golden-killed", tmp_path / "golden-killed")
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    printed = _run(
        tmp_path, "sweep_trades.py", "--storage", str(tmp_path), *KILLED, *ONE_AT_A_TIME, **shared_ray.environment
    )
    assert "anew" not in printed
    for file in sorted(tmp_path.glob("golden-killed/trials/*/record.json")):
        record = json.loads(file.read_text())
        assert (record["attempts"], record["epochs_run"]) == (2, 40), printed
        assert [row["epoch"] for row in record["trace"]] == [*range(1, 41)]
    assert len(list(tmp_path.glob("golden-killed/trials/*/record.json"))) == 2


@pytest.mark.cluster
@pytest.mark.slow
def test_a_finished_sweep_gets_more_seeds_and_keeps_its_records(
    tmp_path: Path, shared_ray: SharedRay, empty_store: bytes
) -> None:
    shutil.copytree(STORES / "v0.1.0" / "golden-fixed", tmp_path / "golden-fixed")
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    before = _digests(tmp_path / "golden-fixed")
    options = ("--name", "golden-fixed", "--beta", "1", "6", "--batch-size", "16", "--epochs", "4", "--no-stop")
    threshold = ("--fosc-threshold", "0.3")
    more = (*options, *threshold, "--seeds", "3", *SMALL, *ONE_AT_A_TIME)
    printed = _run(tmp_path, "sweep_trades.py", "--storage", str(tmp_path), *more, **shared_ray.environment)
    assert printed.count(" starts") == 2
    after = _digests(tmp_path / "golden-fixed")
    assert len(before) == 4
    assert len(after) == 6
    assert {key: after[key] for key in before} == before


def _digests(sweep: Path) -> dict[str, str]:
    files = sweep.glob("trials/*/record.json")
    return {file.parent.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _run(folder: Path, job: str, *options: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(JOBS / job), *options],
        cwd=folder,
        env={**os.environ, "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
