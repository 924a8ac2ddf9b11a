"""The comparison of Table 3 for constructed trials with known means and differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import ttest_rel

from analysis.questions.healing import EarlierRecords, HealingComparison, HealingRow, compare_healing
from analysis.report.tables.healing_table import healing_table, recovery_sentence
from analysis.report.tables.text_table import TerminalTable
from analysis.statistics.paired_counts import paired_share_ends
from core.records import Evidence, TrialRecord

Make = Callable[..., Any]
SELECTED = {0: 0.50, 1: 0.52, 2: 0.54, 3: 0.58}
"""Seed -> clean accuracy of the earlier sweep's trial at its selected checkpoint. Seeds 0 and 1 are stable."""


@pytest.fixture
def trial(record: Make, evidence: Make) -> Make:
    """A trial with the same accuracies at all checkpoints, except for an addition to clean accuracy."""

    def make(seed: int, outcome: str, clean: dict[str, float], **cell: Any) -> TrialRecord:
        def at(name: str, value: float) -> Evidence:
            pgd10 = value / 2
            epoch = {"selected": 3, "gated": 4, "last": 5}[name]
            return evidence(name, epoch=epoch, clean=value, pgd_10=pgd10, square=pgd10 - 0.01 * seed)

        shown = tuple(at(name, value) for name, value in clean.items())
        noise = {"heal/noisy_batches": 10 * (outcome == "healed")}
        trace = [{"epoch": epoch, "val/fosc": epoch / 10, **noise} for epoch in range(1, 6)]
        return record(seed, outcome, cell=cell, evidence=shown, fields={"trace": trace})

    return make


@pytest.fixture
def earlier(trial: Make) -> list[TrialRecord]:
    trials = [
        trial(seed, "stable" if seed < 2 else "unstable", {"selected": clean, "last": 0.9})
        for seed, clean in SELECTED.items()
    ]
    return [*trials, trial(7, "unstable", {"selected": 0.3}), trial(0, "stable", {"selected": 0.2}, beta=6.0)]


@pytest.fixture
def again(trial: Make) -> list[TrialRecord]:
    """Seeds 2 and 3 with healing. Seed 2 is unstable at the end, and both have a clean gated checkpoint."""
    return [
        trial(2, "unstable", {"selected": 0.7, "gated": 0.50, "last": 0.8}, heal="fosc"),
        trial(3, "healed", {"selected": 0.6, "gated": 0.55, "last": 0.6}, heal="fosc"),
    ]


def compare(earlier: Sequence[TrialRecord], again: Sequence[TrialRecord]) -> HealingComparison:
    (found,) = compare_healing(EarlierRecords("earlier", earlier, {again[0].cell_id: earlier[0].cell_id}), again)
    return found


def row(comparison: HealingComparison, group: str, checkpoint: str) -> HealingRow:
    (found,) = [r for r in comparison.rows if (r.group, r.checkpoint) == (group, checkpoint)]
    return found


def test_groups_are_the_same_cell_and_for_fixed_the_same_seeds(
    earlier: list[TrialRecord], again: list[TrialRecord]
) -> None:
    found = compare(earlier, again)
    assert [(r.group, r.checkpoint, r.trials, r.unstable) for r in found.rows] == [
        ("regular", "selected", 2, 0),
        ("unstable", "selected", 2, 2),
        ("fixed", "gated", 2, 1),
        ("unstable", "last", 2, 2),
        ("fixed", "last", 2, 1),
    ]
    shown = [("regular", "selected"), ("unstable", "selected"), ("fixed", "gated")]
    regular, unstable, fixed = (row(found, *which).values["clean"] for which in shown)
    assert (regular.mean, unstable.mean, fixed.mean) == pytest.approx((0.51, 0.56, 0.525))
    assert regular.deviation == pytest.approx(np.std([0.50, 0.52], ddof=1))
    assert row(found, "unstable", "selected").values["gap"].mean == pytest.approx(0.025)
    assert row(found, "fixed", "gated").values["fosc"].mean == pytest.approx(0.4)
    assert (found.seeds, found.ungated, found.source) == (2, 0, "verdict")


def test_pairs_share_their_seed_and_their_interval_is_the_paired_t_tests(
    earlier: list[TrialRecord], again: list[TrialRecord]
) -> None:
    found = {difference.value: difference for difference in compare(earlier, again).paired}
    clean = found["clean"]
    assert clean.seeds == (2, 3)
    assert clean.differences == pytest.approx((0.50 - 0.54, 0.55 - 0.58))
    ends = ttest_rel([0.50, 0.55], [0.54, 0.58]).confidence_interval(0.95)
    assert clean.normal_ends == pytest.approx((ends.low, ends.high))
    assert clean.ends[0] < ends.low < ends.high < clean.ends[1]
    assert clean.mean == pytest.approx(-0.035)
    assert found["fosc"].mean == pytest.approx(0.1)
    assert compare(earlier, again[:1]).paired[0].normal_ends is None


def test_trials_in_which_healing_did_nothing_are_counted(
    earlier: list[TrialRecord], again: list[TrialRecord], trial: Make
) -> None:
    """Only the healed trial has had noise."""
    said = (
        "In 1 of 2 fixed trials healing did nothing, because FOSC was never above the threshold before the last epoch."
    )
    assert said in healing_table(compare(earlier, again)).caption
    assert "did nothing" not in healing_table(compare(earlier, again[1:])).caption


def test_a_trial_without_an_epoch_under_the_threshold_has_nothing_gated(
    earlier: list[TrialRecord], again: list[TrialRecord], trial: Make
) -> None:
    ungated = trial(3, "unstable", {"selected": 0.6, "last": 0.6}, heal="fosc")
    found = compare(earlier, [again[0], ungated])
    assert (row(found, "fixed", "gated").trials, found.ungated) == (1, 1)
    assert found.paired[0].seeds == (2,)


def test_censored_trials_are_in_no_group(earlier: list[TrialRecord], again: list[TrialRecord], record: Make) -> None:
    crashed = record(7, "censored", cell={"heal": "fosc"})
    found = compare(earlier, [*again, crashed])
    assert row(found, "fixed", "gated").trials == 2
    assert found.seeds == 3
    assert compare_healing(EarlierRecords("earlier", earlier, {crashed.cell_id: earlier[0].cell_id}), [crashed]) == []


def with_autoattack(record: TrialRecord, evidence: Make, *checkpoints: str) -> TrialRecord:
    found = tuple(evidence(name, clean=0.6, pgd_10=0.5, square=0.4, autoattack=0.3) for name in checkpoints)
    return record.model_copy(update={"evaluations": found})


def test_autoattack_counts_once_all_compared_checkpoints_have_it(
    earlier: list[TrialRecord], again: list[TrialRecord], evidence: Make
) -> None:
    before = [with_autoattack(r, evidence, "selected") for r in earlier]
    after = [with_autoattack(r, evidence, "gated", "last") for r in again]
    found = compare(before, after)
    assert found.source == "evaluation"
    assert row(found, "fixed", "gated").values["gap"].mean == pytest.approx(0.2)
    assert row(found, "fixed", "last").values["autoattack"].mean == pytest.approx(0.3)
    assert not [r for r in found.rows if (r.group, r.checkpoint) == ("unstable", "last")]
    partly = compare(before, [after[0], again[1]])
    assert partly.source == "verdict"
    assert "autoattack" not in row(partly, "fixed", "gated").values


def test_the_table_reads_as_in_the_paper(earlier: list[TrialRecord], again: list[TrialRecord]) -> None:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(TerminalTable(healing_table(compare(earlier, again))))
    text = captured.get()
    groups, checkpoints = (text.splitlines()[i].split()[1:] for i in (1, 3))
    assert list(zip(groups, checkpoints, strict=False))[:3] == [
        ("regular", "selected"),
        ("unstable", "selected"),
        ("fixed", "gated"),
    ]
    for part in ("0.5250", "± 0.0354", "-0.0350", "[-0.0985, +0.0285]", "2 pairs", "1/2"):
        assert part in text
    assert "Of 2 unstable trials that were healed, 1 are not unstable at their end" in text.replace("\n", " ")


def test_healing_is_what_it_adds_to_the_placebo_arm_of_the_same_seeds(trial: Make) -> None:
    outcomes = {"fosc": ("healed", "stable", "stable", "unstable"), "placebo": ("stable", "unstable", "unstable")}
    before = [trial(seed, "unstable", {"selected": 0.5}) for seed in range(4)]
    again = [
        trial(seed, outcome, {"selected": 0.5, "gated": 0.5, "last": 0.5}, heal=arm)
        for arm, ended in outcomes.items()
        for seed, outcome in enumerate(ended)
    ]
    counterparts = {record.cell_id: before[0].cell_id for record in again}
    found = {one.arm: one for one in compare_healing(EarlierRecords("earlier", before, counterparts), again)}
    healed, placebo = found["fixed"], found["placebo"]
    assert ((healed.recovered.k, healed.recovered.n), (placebo.recovered.k, placebo.recovered.n)) == ((3, 4), (1, 3))
    assert (healed.placebo.seeds, healed.placebo.only_healed, healed.placebo.only_placebo) == (3, 2, 0)
    assert healed.placebo.ends == paired_share_ends(2, 0, 3)
    assert placebo.placebo is None
    assert "Healing minus placebo over 3 pairs of one seed: +67 points" in recovery_sentence(healed)
    assert "add --heal placebo" in recovery_sentence(replace(healed, placebo=None))
