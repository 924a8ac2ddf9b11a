"""Simulated records are equivalent to real ones for the code that reads records."""

from __future__ import annotations

import pytest

from core.allocation import (
    AllocationGoal,
    CellTruth,
    Certainty,
    SeedAllocator,
    StoppingPolicy,
    SyntheticTrials,
    ever_unstable,
    in_seed_order,
    replay,
    simulate,
)
from core.allocation.synthetic_records import synthetic_records
from core.config import Cell, ProtocolOptions
from core.records import TrialRecord, Verdict
from core.verdict import FoscDetector, is_overestimated

CELLS = [{"beta": beta, "batch_size": 16} for beta in (1.0, 3.0, 6.0)]
TRUTHS = tuple(
    CellTruth(rate=rate, epochs=40, onset_epochs=tuple(range(8, 36)), healing=0.4, censored=0.1)
    for rate in (0.9, 0.5, 0.1)
)
PROTOCOL = ProtocolOptions()


@pytest.fixture(scope="module")
def swept(anytime):
    certainty = Certainty(AllocationGoal(max_trials=120), anytime)
    return simulate(SyntheticTrials(TRUTHS, 1), certainty, StoppingPolicy(audit=0.3), concurrency=8)


@pytest.fixture(scope="module")
def records(swept):
    return synthetic_records(swept.trials, TRUTHS, CELLS)


def test_all_outcomes_occur(records):
    assert {record.verdict.outcome for record in records} == {"stable", "unstable", "healed", "censored"}
    assert any(record.stopped_early for record in records)
    assert any(record.audit for record in records)


def test_they_survive_json_and_repeat(records, swept):
    assert [TrialRecord.model_validate_json(record.model_dump_json()) for record in records] == records
    assert synthetic_records(swept.trials, TRUTHS, CELLS) == records


def test_the_detector_finds_in_the_trace_what_the_verdict_says(records):
    for record in records:
        detector = FoscDetector(threshold=PROTOCOL.fosc_threshold, patience=1, grace=PROTOCOL.fosc_grace)
        for row in record.trace:
            detector.update(int(row["epoch"]), row)
        assert tuple(detector.onset_epochs) == record.verdict.onset_epochs
        if record.verdict.outcome != "censored":
            assert tuple(detector.recovery_epochs) == record.verdict.recovery_epochs
        for evidence in record.verdict.evidence:
            assert is_overestimated(evidence, PROTOCOL.overestimation_gap) is record.verdict.overestimation


def test_replaying_them_gives_the_counts_of_the_sweep(records, swept, anytime):
    allocator = SeedAllocator(3, Certainty(AllocationGoal(max_trials=120), anytime))
    running = records[0].model_copy(update={"status": "running", "verdict": None, "seed": 999})
    stranger = records[0].model_copy(update={"cell_id": "of another sweep"})
    replay(
        allocator, [running, stranger, *records], {Cell.from_flat(cell).id: index for index, cell in enumerate(CELLS)}
    )
    assert [allocator.counts(cell) for cell in range(3)] == swept.counts
    assert allocator.device_hours == pytest.approx(swept.device_seconds / 3600)


def test_ever_unstable_is_none_only_for_trials_that_were_censored_before_an_onset(records):
    for record in records:
        censored = True if record.verdict.onset else None
        expected = {"stable": False, "unstable": True, "healed": True, "censored": censored}[record.verdict.outcome]
        assert ever_unstable(record) is expected
    crashed = next(record for record in records if record.verdict.outcome == "censored")
    assert ever_unstable(crashed.model_copy(update={"verdict": Verdict(outcome="censored", onset=True)})) is True


def test_seed_order_keeps_what_the_allocator_counts(records, anytime):
    cells = {Cell.from_flat(cell).id: index for index, cell in enumerate(CELLS)}
    left_out = 0
    for known in range(len(records) + 1):  # as the sweep goes on
        so_far = records[:known]
        allocator = SeedAllocator(3, Certainty(AllocationGoal(max_trials=120), anytime))
        replay(allocator, so_far, cells)
        kept = in_seed_order(so_far, first_seed=0)
        left_out += len(so_far) - len(kept)
        for cell_id, cell in cells.items():
            outcomes = [ever_unstable(r) for r in kept if r.cell_id == cell_id]
            counted = [outcome for outcome in outcomes if outcome is not None]
            assert (sum(counted), len(counted)) == allocator.counts(cell)
    assert left_out > 0
    assert kept == sorted(records, key=lambda r: (r.cell_id, r.seed))
