"""Many faults on two real sweeps: no result is lost or counted twice, and nothing is left behind.

pytest tests/chaos -s                                             # 200 faults, as in CI, with the table of faults
pytest tests/chaos -s --all-kinds --faults 1000 --chaos-seed 7    # all kinds in proportion, in another order: 8 hours

The hours are extrapolated from 75 faults of all kinds, which took 38 minutes. The time limit of the tests grows with
the faults.
"""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from typing import Any

import pytest

from tests.chaos.aftermath import Aftermath, SweepAftermath
from tests.chaos.reference import Record
from tests.chaos.sweeps import ALONE, GROUPS
from tests.timeless import timeless

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
# The time limit depends on the number and kinds of the faults, see `tests.chaos.conftest.time_limit_s`.

DOCUMENTED = {0, 1, 2, 3, 4, 130}
KILLED = {-signal.SIGKILL, -signal.SIGTERM}
"""Exit codes of drivers that a fault has killed. SIGTERM kills a driver that has no handler yet."""


@pytest.fixture(params=[ALONE.name, GROUPS.name])
def sweep(request: pytest.FixtureRequest, aftermath: Aftermath) -> SweepAftermath:
    return aftermath.sweeps[request.param]


def test_all_faults_happened(aftermath: Aftermath) -> None:
    assert len(aftermath.blows) == aftermath.planned


def test_drivers_end_as_documented(aftermath: Aftermath) -> None:
    undocumented = [end for end in aftermath.drivers if end.code not in DOCUMENTED | KILLED]
    assert not undocumented
    assert re.findall(r"(?:.*\n){3}Traceback(?:.*\n){1,40}", aftermath.printed) == []


def test_every_trial_has_one_record(sweep: SweepAftermath) -> None:
    assert sweep.records.keys() == sweep.expected.keys()
    assert all(key == f"{record['cell_id']}-{record['seed']}" for key, record in sweep.records.items())


def test_records_are_those_of_undisturbed_trials(sweep: SweepAftermath) -> None:
    """The records are bit-identical. In a group of two, a sum has two terms, and their order does not matter."""
    different = {
        key: _differences(_of_any_version(sweep.records[key]), _of_any_version(expected))
        for key, expected in sweep.expected.items()
        if key in sweep.records
    }
    assert not {key: found for key, found in different.items() if found}


def test_a_finished_record_is_never_written_with_other_content(sweep: SweepAftermath) -> None:
    for key, versions in sweep.versions.items():
        assert not any(map(_crashed, versions)), f"a crash was stored as the result of {key}"
        finished = [_of_any_version(record) for record in versions]
        assert all(record == finished[0] for record in finished), key


def test_a_fault_never_looks_like_an_outcome_of_training(sweep: SweepAftermath) -> None:
    for key, versions in sweep.versions.items():
        outcomes = {record["verdict"]["outcome"] for record in versions}
        assert outcomes == {sweep.expected[key]["verdict"]["outcome"]}, key


def test_mlflow_has_one_ended_run_per_trial_and_one_for_the_sweep(sweep: SweepAftermath) -> None:
    assert [run.status for run in sweep.parents] == ["FINISHED"]
    assert Counter(run.tags["trial_key"] for run in sweep.children) == Counter(sweep.expected.keys())
    for run in sweep.children:
        outcome = sweep.expected[run.tags["trial_key"]]["verdict"]["outcome"]
        assert run.tags["outcome"] == outcome, run.tags["trial_key"]
        assert run.status == ("FAILED" if outcome == "censored" else "FINISHED"), run.tags["trial_key"]


def test_mlflow_has_every_epoch_once(sweep: SweepAftermath) -> None:
    for run in sweep.children:
        key = run.tags["trial_key"]
        rows = sweep.expected[key]["trace"]
        expected = {(name, int(row["epoch"])): [value] for row in rows for name, value in row.items()}
        names = {name for name, _ in expected}
        logged = {at: values for at, values in run.metrics.items() if at[0] in names}
        assert logged.keys() == expected.keys(), key
        assert {at: values for at, values in logged.items() if len(values) != 1} == {}, key
        timeless_ones = {at: values for at, values in logged.items() if not at[0].startswith("time/")}
        assert timeless_ones == {at: expected[at] for at in timeless_ones}, key


def test_records_name_all_versions_of_the_code(aftermath: Aftermath) -> None:
    mixed = False
    for sweep in aftermath.sweeps.values():
        named = {part["core"] for record in sweep.records.values() for part in record["took_part"]}
        assert named <= set(aftermath.versions)
        mixed |= len(named) > 1
    assert mixed == (len(aftermath.versions) > 1)
    assert ("The trials of this sweep mix versions of the code" in aftermath.printed) == mixed


def test_every_forged_file_was_named(aftermath: Aftermath) -> None:
    assert [forgery for forgery in aftermath.forgeries if not forgery.said] == []


@pytest.mark.parametrize(
    "kind",
    (
        "processes",
        "actors",
        "placement groups",
        "objects",
        "uploads",
        "files of the driver",
        "files on the hosts",
        "afterwards",
    ),
)
def test_nothing_is_left(aftermath: Aftermath, kind: str) -> None:
    assert aftermath.leftovers.get(kind) == []


def _of_any_version(record: Record) -> Record:
    """A timeless record without the hash of the code, which an upgrade changes, and its measurements name."""
    found: Record = json.loads(re.sub(r"\+core\.[0-9a-f]{12}", "", json.dumps(timeless(record))))
    return found


def _crashed(record: Record) -> bool:
    return str(record["verdict"].get("censor_reason") or "").startswith("crashed")


def _differences(ours: Any, theirs: Any, at: str = "") -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = sorted(ours.keys() | theirs.keys())
        return [d for name in names for d in _differences(ours.get(name), theirs.get(name), f"{at}.{name}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [d for place, (a, b) in pairs for d in _differences(a, b, f"{at}[{place}]")]
    return [] if ours == theirs else [f"{at}: {str(ours)[:60]}, undisturbed {str(theirs)[:60]}"]
