"""Comparison of means with the paper's, checked against SciPy's tests and values computed by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import ttest_ind, ttest_ind_from_stats

from analysis.paper.compare_means import RowComparison, compare_means
from analysis.paper.compare_values import ValueComparison
from analysis.paper.tables import paper_rows
from analysis.questions.healing import EarlierRecords
from analysis.report.context import report_context
from analysis.report.sections.paper import paper_sections
from analysis.report.terminal_section import section_for_terminal
from analysis.statistics.means import MeanStd, welch
from core.config import Cell
from core.records import Evidence, Measurement, TrialRecord

PAPER = {
    "dataset": "cifar100",
    "model": "resnet18",
    "epochs": 200,
    "lr": 0.1,
    "augment": "crop-flip",
    "batch_size": 256,
}
ATTACK = {"epsilon": "8/255", "attack_step_size": "2/255", "attack_steps": 10}
TABLE_5 = {"schedule": "step", "milestones": [100, 150]}
THOROUGH = {"square_queries": 5000, "verdict_images": 10_000}

Make = Callable[..., TrialRecord]


def attacked(images: int = 10_000, checkpoint: Any = "selected", steps: int = 100, **accuracies: float) -> Evidence:
    """The record with an evaluation by AutoAttack."""
    measured = [
        Measurement(
            attack=name.replace("_", "-"), accuracy=value, images=images, split="test", steps=steps, queries=5000
        )
        for name, value in accuracies.items()
    ]
    return Evidence(checkpoint=checkpoint, epoch=1, measurements=tuple(measured))


@pytest.fixture
def trial(record: Make, evidence: Callable) -> Make:
    """A trial of the paper's default cell with evaluations, which may be unstable by the paper's rule."""

    def make(seed: int, *evaluations: Evidence, unstable: bool = False, **options: Any) -> TrialRecord:
        cell = Cell.from_flat({**PAPER, **ATTACK, "beta": 3.0, **options}).flat()
        verdict = evidence(clean=0.5, pgd_10=0.30, square=0.20 if unstable else 0.25)
        return record(seed, cell=cell, protocol=THOROUGH, evidence=(verdict,), fields={"evaluations": evaluations})

    return make


def the(found: Sequence[RowComparison], table: int, name: str) -> RowComparison:
    (row,) = [row for row in found if (row.paper.table, row.paper.name) == (table, name)]
    return row


def value(row: RowComparison, name: str) -> ValueComparison:
    (compared,) = [compared for compared in row.values if compared.value == name]
    return compared


@pytest.mark.parametrize("sizes", [(2, 2), (3, 10), (10, 4)])
def test_welch_is_scipy_s(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(sizes[0])
    one, other = rng.normal(0.5, 0.02, sizes[0]), rng.normal(0.52, 0.1, sizes[1])
    found = welch(MeanStd.of(list(one)), MeanStd.of(list(other)), 0.9)
    expected = ttest_ind(one, other, equal_var=False)
    ends = expected.confidence_interval(0.9)
    assert found.difference == pytest.approx(one.mean() - other.mean())
    assert (found.p_value, found.low, found.high) == pytest.approx((expected.pvalue, ends.low, ends.high))


def test_welch_needs_two_deviations() -> None:
    with pytest.raises(ValueError, match="one trial"):
        welch(MeanStd(0.5, None, 1), MeanStd(0.5, 0.1, 3))
    with pytest.raises(ValueError, match="neither side varies"):
        welch(MeanStd(0.5, 0.0, 2), MeanStd(0.6, 0.0, 3))


def test_published_gaps_are_pgd10_minus_autoattack_and_autoattack_is_the_lowest() -> None:
    for row in [*paper_rows(), *paper_rows(repeated=True)]:
        values = {name: published.mean for name, published in row.values.items()}
        if "gap" in values:
            assert values["gap"] == pytest.approx(values["pgd-10"] - values["autoattack"], abs=1.01e-4)
        assert min(value for name, value in values.items() if name != "gap") == values["autoattack"]


def test_published_rows_are_of_cells_and_repeated_ones_are_the_same() -> None:
    rows = {(row.table, row.name): row for row in paper_rows()}
    assert [number for number, _ in rows] == [1, 1, 3, 3, 3, 5, 5, 5, 6, 7, 7]
    for row in rows.values():
        flat = Cell.from_flat(row.options).flat()
        assert {name: flat[name] for name in row.options} == row.options
    for row in paper_rows(repeated=True):
        assert (row.table, row.values) == (6, rows[3, row.name].values)


def test_a_row_is_the_mean_over_its_trials_tested_by_welch(trial: Make) -> None:
    shown = [(0.59, 0.28, 0.22), (0.58, 0.29, 0.24), (0.60, 0.27, 0.23)]
    trials = [
        trial(s, attacked(clean=c, pgd_10=p, autoattack=a), **TABLE_5, unstable=s == 2)
        for s, (c, p, a) in enumerate(shown)
    ]
    row = the(compare_means(trials), 5, "beta 3")
    assert (row.trials, row.differences) == (3, [])
    published = {"clean": (0.5860, 0.0120), "autoattack": (0.2286, 0.0092), "gap": (0.0563, 0.0151)}
    ours = {
        "clean": [c for c, _, _ in shown],
        "autoattack": [a for *_, a in shown],
        "gap": [p - a for _, p, a in shown],
    }
    for name, numbers in ours.items():
        found = value(row, name)
        assert found.ours is not None
        assert found.test is not None
        assert (found.ours.mean, found.ours.deviation) == pytest.approx((np.mean(numbers), np.std(numbers, ddof=1)))
        expected = ttest_ind_from_stats(
            np.mean(numbers), np.std(numbers, ddof=1), 3, *published[name], 3, equal_var=False
        )
        assert found.test.p_value == pytest.approx(expected.pvalue)
        narrow = welch(found.ours, MeanStd(*published[name], 3), 0.9)
        assert (found.conclusion == "reproduced") is (narrow.low > -0.02 and narrow.high < 0.02)


def test_another_setup_or_a_weaker_attack_never_reproduce(trial: Make) -> None:
    def conclusions(seeds: int, evaluation: dict, **options: Any) -> set[str | None]:
        accuracies = [
            {"clean": 0.586 + s / 1000, "pgd_10": 0.2849 + s / 1000, "autoattack": 0.2286 + s / 1000}
            for s in range(seeds)
        ]
        trials = [trial(s, attacked(**evaluation, **a), **TABLE_5, **options) for s, a in enumerate(accuracies)]
        return {found.conclusion for found in the(compare_means(trials), 5, "beta 3").values}

    assert "reproduced" in conclusions(10, {})
    for evaluation, options in (({}, {"epochs": 160}), ({"images": 1000}, {}), ({"steps": 20}, {})):
        found = conclusions(10, evaluation, **options)
        assert "reproduced" not in found
        assert "not contradicted" in found


def test_means_that_hardly_agree_differ(trial: Make) -> None:
    trials = [trial(s, attacked(clean=0.3 + s / 100, pgd_10=0.285, autoattack=0.23), **TABLE_5) for s in range(3)]
    found = value(the(compare_means(trials), 5, "beta 3"), "clean")
    assert found.test is not None
    assert found.test.high < 0
    assert found.conclusion == "contradicted"


def test_what_cannot_be_compared_says_why(trial: Make) -> None:
    evaluated = attacked(clean=0.5, pgd_10=0.24, autoattack=0.2, square=0.22)
    trials = [trial(0, evaluated), trial(1, evaluated), trial(2, unstable=True), trial(3, evaluated, inner="ce")]
    found = compare_means([*trials, trial(4, evaluated, **TABLE_5)])
    whys = {
        (1, "Regular", "square"): "cannot be compared: a single run in the paper",
        (1, "Regular", "fab"): "not evaluated here (jobs/evaluate.py)",
        (1, "Unstable", "square"): "cannot be compared: a single run in the paper",
        (1, "Unstable", "autoattack"): "not evaluated here (jobs/evaluate.py)",
        (3, "Unstable", "gap"): "not evaluated here (jobs/evaluate.py)",
        (3, "Unstable", "clean"): "cannot be compared: a single trial here",
        (5, "beta 3", "gap"): "cannot be compared: a single trial here",
        (6, "Modified", "gap"): "cannot be compared: the paper prints no number of trials",
    }
    for (table, name, attack), why in whys.items():
        compared = value(the(found, table, name), attack)
        assert (compared.why, compared.test, compared.conclusion) == (why, None, None)
    assert {(row.paper.table, row.paper.name) for row in found} == {(table, name) for table, name, _ in whys} | {
        (3, "Regular")
    }


def test_evaluated_trials_stand_for_their_row_and_trials_are_sorted_by_the_rule(trial: Make) -> None:
    evaluations = [
        (attacked(clean=0.6, pgd_10=0.3, autoattack=0.1),),
        (attacked(clean=0.7, pgd_10=0.3, autoattack=0.2),),
        (),
    ]
    trials = [trial(s, *e, unstable=True) for s, e in enumerate(evaluations)]
    found = compare_means([*trials, trial(3, attacked(clean=0.1, pgd_10=0.1, autoattack=0.1))])
    unstable = the(found, 3, "Unstable")
    assert unstable.trials == 2
    clean = value(unstable, "clean").ours
    assert clean is not None
    assert clean.mean == pytest.approx(0.65)
    assert "7 is what Table 2 has of this setting" in unstable.differences[-1]
    assert {compared.conclusion for compared in unstable.values} <= {
        "not contradicted",
        "contradicted",
        "too few seeds",
    }
    assert the(found, 3, "Regular").trials == 1


def test_healed_trials_are_compared_at_their_gated_checkpoint_beside_their_earlier_sweep(trial: Make) -> None:
    both = {"selected": 0.9, "gated": 0.53}
    again = [
        trial(
            s,
            *(attacked(checkpoint=c, clean=v + s / 100, pgd_10=0.2, autoattack=0.2) for c, v in both.items()),
            heal="fosc",
        )
        for s in (0, 1)
    ]
    earlier = [trial(s, unstable=s < 2) for s in range(4)] + [trial(9, beta=1.0)]
    before = EarlierRecords("first", earlier, {again[0].cell_id: earlier[0].cell_id})
    (fixed,) = compare_means(again)
    assert (fixed.paper.name, fixed.paper.checkpoint) == ("Fixed", "gated")
    clean = value(fixed, "clean").ours
    assert clean is not None
    assert clean.mean == pytest.approx(0.535)
    (section,) = paper_sections(report_context("again", again, earlier=before))
    console = Console(width=160)
    with console.capture() as captured:
        console.print(*section_for_terminal(section), sep="\n")
    text = " ".join(captured.get().split())
    for header in ("Table 1, Regular", "Table 3, Regular", "Table 3, Unstable", "Table 3, Fixed"):
        assert header in text
    assert "0.5350 ± 0.0071 (2) 0.5290 ± 0.0063 (?)" in text
    assert "reproduced" not in text
