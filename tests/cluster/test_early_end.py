"""A driver ends a sweep in which all trials crash, and one whose budget is used up, and both can be continued."""

from __future__ import annotations

import json

import pytest

from tests.cluster.conftest import TINY_DATA, Sweep
from tests.plugin_tables import printed_plugin

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_a_sweep_in_which_all_trials_crash_stops_and_says_why(sweep: Sweep) -> None:
    plugin = sweep.folder / "my_method.py"
    plugin.write_text(printed_plugin().replace("logits = run.forward", "raise MemoryError('no room'); logits = run.f"))
    sweep.common = TINY_DATA
    options = ("--plugin", str(plugin), "--method", "squeezing", "--name", "hopeless", "--epochs", "2")
    printed = sweep.run(*options, "--seeds", "20", "--max-concurrent", "2", "--max-crashes", "4", code=5)
    assert "its trials crashed 4 times in succession" in printed
    assert "The last reason: out of memory: MemoryError: no room." in printed
    reasons = {record["verdict"]["censor_reason"] for record in sweep.records("hopeless").values()}
    assert reasons <= {"crashed: out of memory: MemoryError: no room"}
    records = sweep.records("hopeless").values()
    assert len(records) <= 2
    assert all(0 < record["lost_device_seconds"] == record["device_seconds"] for record in records)


def test_a_sweep_ends_with_its_budget_and_goes_on_with_more(sweep: Sweep) -> None:
    options = ("--name", "costly", "--epochs", "20", "--max-concurrent", "1", "--price", "2")
    printed = sweep.run(*options, "--seeds", "3", "--max-device-hours", "1/3600", code=6)
    assert "its budget is used up" in printed
    assert len(sweep.records("costly")) < 3
    sweep.run(*options, "--seeds", "1")
    assert [r["epochs_run"] for r in sweep.records("costly").values() if r["seed"] == 0] == [20]
    again = sweep.run(*options, "--seeds", "3", "--max-cost", "2/3600", code=6)
    assert "its budget is used up" in again
    assert " starts" not in again


def test_a_budget_ends_a_sweep_whose_epochs_never_end(sweep: Sweep) -> None:
    plugin = sweep.folder / "my_method.py"
    plugin.write_text(printed_plugin().replace("logits = run.forward", "__import__('time').sleep(900); logits = run.f"))
    sweep.common = TINY_DATA
    options = ("--plugin", str(plugin), "--method", "squeezing", "--name", "endless", "--epochs", "2", "--workers", "2")
    printed = sweep.run(*options, "--seeds", "1", "--max-device-hours", "5/3600", code=6)
    assert "its budget is used up" in printed
    (counted,) = (sweep.folder / "results").glob("endless/trials/*/attempts.json")
    assert json.loads(counted.read_text())["number"] == 1
