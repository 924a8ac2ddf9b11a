"""A stored sweep from Python, on the sweeps of version 0.1.0 that tests keep."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from analysis import load_sweep
from core.ledger.snapshot import read_snapshot

STORES = Path(__file__).parents[1] / "golden" / "stores" / "v0.1.0"
README = Path(__file__).parents[2] / "jobs" / "README.md"
KEY = "c50cb46b441d-0"


def test_tables_say_what_the_records_say() -> None:
    sweep = load_sweep("golden-fixed", STORES)
    records = {record.key: record for record in read_snapshot(str(STORES), "golden-fixed").finished}
    trials, epochs = sweep.trials(), sweep.epochs()
    assert set(trials.index) == records.keys()
    assert sweep.factors == ["beta"]
    assert len(epochs) == sum(len(record.trace) for record in records.values())
    for key, record in records.items():
        row, verdict = trials.loc[key], record.verdict
        assert verdict
        assert (row.outcome, row.beta, row.seed) == (verdict.outcome, record.cell["beta"], record.seed)
        evidence = next(e for e in verdict.evidence if e.checkpoint == "last")
        for measured in evidence.measurements:
            assert row[f"last/{measured.label}"] == measured.accuracy
        assert epochs.loc[key]["val/fosc"].tolist() == [line["val/fosc"] for line in record.trace]


def test_rates_are_those_of_the_report() -> None:
    """Counts and rates are those that `report.py --format csv` of version 0.1.0 printed."""
    import csv

    with (STORES / "golden-fixed" / "rates.csv").open() as file:
        expected = list(csv.DictReader(file))
    rates = load_sweep("golden-fixed", STORES).rates()
    assert [(int(r["unstable"]), int(r["trials"])) for r in expected] == list(
        zip(rates.unstable, rates.trials, strict=True)
    )
    assert rates.rate.tolist() == [float(r["rate"]) for r in expected]
    # Blaker's interval for 1 of 2 begins at 1 - sqrt(0.95).
    assert rates.low.tolist() == pytest.approx([1 - 0.95**0.5, 0], abs=1e-4)


def test_a_network_is_the_stored_one() -> None:
    sweep = load_sweep("golden-fixed", str(STORES))
    network = sweep.model(KEY, "last")
    stored = torch.load(STORES / "golden-fixed" / "trials" / KEY / "last.pt", weights_only=True)["model"]
    assert not network.training
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())
    with pytest.raises(ValueError, match=f"{KEY} has no checkpoint best"):
        sweep.model(KEY, "best")
    with pytest.raises(KeyError):
        sweep.model("nosuch-0")


def test_a_missing_sweep_is_named() -> None:
    with pytest.raises(ValueError, match="--sweep nosuch: there is no such sweep"):
        load_sweep("nosuch", STORES)


def test_the_documented_script_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script is made for sweep quick; the stored sweep had fewer queries and one restart."""
    script = re.search(r"^## From Python\n\n```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert script
    ignored = shutil.ignore_patterns("progress.json")  # it names its sweep
    shutil.copytree(STORES / "golden-fixed", tmp_path / "results" / "quick", ignore=ignored)
    monkeypatch.chdir(tmp_path)
    exec(script[1].replace("square-1000", "square-50"), {})
    printed = capsys.readouterr().out
    assert f"{KEY} " in printed
    assert "parameters" in printed
