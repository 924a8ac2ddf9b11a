"""One definition per failure, and detectors judged on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from analysis.questions.detection import judge_detectors
from analysis.questions.failures import FAILURES, has_failure
from analysis.report.context import report_context
from analysis.report.sections.failures import failure_sections
from core.config import Cell
from core.records import Rows, TrialRecord
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
    assert list(section.tables[0].header) == ["detector", "catastrophic", "robust overfitting"]
    assert "catastrophic: " in section.text
    assert "(3 of 9 trials)" in section.text


def test_without_a_failure_there_is_no_section(record: Callable[..., TrialRecord]) -> None:
    assert failure_sections(report_context("s", [trial(seed, 0.1) for seed in range(3)])) == []
