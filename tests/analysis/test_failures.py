"""One definition per failure, and detectors judged on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from analysis.questions.detection import judge_detectors
from analysis.questions.failures import FAILURES, failure_onset, has_failure
from analysis.report.context import report_context
from analysis.report.sections.failures import failure_sections
from core.config import Cell
from core.records import Measurement, Rows, TrialRecord
from tests.analysis_report.conftest import synthetic_trial


def trial(seed: int, error: float, best: float = 0.5, end: float = 0.5, **verdict: Any) -> TrialRecord:
    record = synthetic_trial(Cell.from_flat({"beta": 3}), seed, probability=0.0, epochs=12)
    assert record.verdict is not None
    evidence = []
    for found, accuracy in zip(record.verdict.evidence, (best, end), strict=True):
        measured = [replace(m, accuracy=accuracy) if m.attack == "pgd-10" else m for m in found.measurements]
        evidence.append(found.model_copy(update={"measurements": tuple(measured)}))
    trace = [{**row, "val/linearity_error": error, "val/boundary_distortion": error / 2} for row in record.trace]
    changed = record.verdict.model_copy(update={"evidence": tuple(evidence), **verdict})
    return record.model_copy(update={"verdict": changed, "trace": Rows(trace)})


@pytest.mark.parametrize(
    ("changes", "failures"),
    [
        ({}, set()),
        ({"overestimation": True}, {"any", "masking"}),
        ({"catastrophic": True}, {"any", "catastrophic"}),
        ({"confirmed_epoch": 7}, {"any"}),
        ({"best": 0.30, "end": 0.25}, {"robust-overfitting"}),
        ({"best": 0.30, "end": 0.2501}, set()),
        ({"best": 0.25, "end": 0.30}, set()),
    ],
)
def test_each_failure_has_one_definition(changes: dict[str, Any], failures: set[str]) -> None:
    record = trial(0, 1.0, **changes)
    assert {failure for failure in FAILURES if has_failure(record, failure)} == failures


def test_a_stopped_trial_has_no_end_and_a_censored_one_no_failure() -> None:
    stopped = trial(0, 1.0, best=0.4, end=0.1).model_copy(update={"stopped_early": True})
    assert has_failure(stopped, "robust-overfitting") is None
    assert has_failure(stopped, "any") is False
    censored = trial(0, 1.0, outcome="censored")
    assert all(has_failure(censored, failure) is None for failure in FAILURES)


def test_a_detector_is_judged_on_the_failure_that_its_metric_follows() -> None:
    """Linearity error is high exactly in the trials with catastrophic overfitting, and tells nothing of the others."""
    records = [trial(seed, error=5.0 + seed, catastrophic=True) for seed in range(3)]
    records += [trial(10 + seed, error=0.1 * seed, best=0.5, end=0.3) for seed in range(3)]
    records += [trial(20 + seed, error=0.1 * seed) for seed in range(3)]

    def auc(failure: Any) -> float:
        judged = judge_detectors(records, 1, 0, failures=[failure])[failure]
        return next(quality.auc for quality in judged.qualities if quality.name == "linearity error")

    assert auc("catastrophic") == 1
    assert auc("robust-overfitting") == pytest.approx(1.5 / 6 + 0)  # ties with 3 trials, below the other 3
    (section,) = failure_sections(report_context("s", records))
    definitions, qualities = section.tables
    assert [row[0] for row in definitions.rows] == ["masking", "catastrophic", "robust overfitting"]
    assert [row[3:] for row in definitions.rows] == [
        ["0 of 9", "no cell has both"],
        ["3 of 9", "3 and 6"],
        ["3 of 9", "3 and 6"],
    ]
    assert list(qualities.header) == [
        *("detector", "catastrophic: AUC", "epochs ahead", "robust overfitting: AUC", "epochs ahead"),
    ]


def test_the_onset_of_each_failure_by_hand() -> None:
    record = trial(0, 1.0, best=0.5, end=0.3, catastrophic=True, overestimation=True, confirmed_epoch=9)
    assert record.verdict is not None
    first, last = record.verdict.evidence
    alarm, gated = (first.model_copy(update={"checkpoint": name}) for name in ("alarm", "gated"))
    evidence = [
        found.model_copy(update={"epoch": epoch, "measurements": gaps(found.measurements, gap)})
        for found, epoch, gap in ((gated, 3, 0.3), (alarm, 4, 0.079), (first, 8, 0.08), (last, 12, 0.3))
    ]
    pgd = [0.1, 0.3, 0.26, 0.4, 0.36, 0.35, 0.5, 0.2, None, 0.1, 0.1, 0.1]
    fgsm = [0.1, 0.3, 0.26, 0.4, 0.36, 0.35, 0.69, 0.3, 0.9, 0.3, 0.9, 0.1]
    trace = [
        {**row, "val/pgd10_acc": one, "val/fgsm_acc": other}
        for row, one, other in zip(record.trace, pgd, fgsm, strict=True)
    ]
    verdict = record.verdict.model_copy(update={"evidence": tuple(evidence)})
    changed = record.model_copy(update={"verdict": verdict, "trace": Rows(trace)})
    found = {failure: failure_onset(changed, failure) for failure in FAILURES}
    # 0.69 - 0.5 is below the gap of 0.2, epoch 9 has no PGD accuracy; 0.40 - 0.35 reaches 0.05
    assert found == {"any": 9, "masking": 8, "catastrophic": 10, "robust-overfitting": 6}


def gaps(measurements: tuple[Measurement, ...], gap: float) -> tuple[Measurement, ...]:
    """The measurements with Square ``gap`` below PGD."""
    accuracies = {"pgd-10": 0.38, "square": 0.38 - gap}
    return tuple(replace(m, accuracy=accuracies.get(m.attack, m.accuracy)) for m in measurements)


def test_epochs_ahead_are_counted_to_the_failures_own_onset() -> None:
    """The linearity error rises at epoch 6; FGSM leaves PGD behind at epoch 9, and the alarm was confirmed at 11."""
    records = []
    for seed in range(8):
        bad = seed % 2 == 0
        record = trial(seed, 1.0, catastrophic=bad, confirmed_epoch=11 if bad else None)
        rows = [
            {
                **row,
                "val/linearity_error": 5.0 if bad and index >= 5 else 0.1,
                "val/fgsm_acc": 0.9 if bad and index >= 8 else 0.3,
                "val/pgd10_acc": 0.3,
            }
            for index, row in enumerate(record.trace)
        ]
        records.append(record.model_copy(update={"trace": Rows(rows)}))

    def lead(failure: Any) -> Any:
        judged, _ = judge_detectors(records, 1, 0, failures=[failure])[failure]
        return next(quality.lead_epochs for quality in judged if quality.name == "linearity error")

    assert lead("catastrophic") == (3, 3, 3)
    assert lead("any") == (5, 5, 5)


def test_without_a_failure_there_is_no_section(record: Callable[..., TrialRecord]) -> None:
    assert failure_sections(report_context("s", [trial(seed, 0.1) for seed in range(3)])) == []
