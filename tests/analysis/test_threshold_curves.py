"""Rates over the threshold of a label, and what they owe to the test images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analysis.questions.threshold_curves import CellValues, fosc_peaks, gaps, image_errors, profile
from analysis.statistics.blaker import blaker_ends
from analysis.statistics.intervals import confidence_sequence
from core.records import TrialRecord
from core.verdict import FoscDetector


@pytest.fixture
def trial(record: Callable[..., TrialRecord], evidence: Callable[..., Any]) -> Callable[..., TrialRecord]:
    """A trial with these gaps at its selected and its last checkpoint, and this FOSC by epoch."""

    def make(seed: int, selected: float, last: float, fosc: tuple[float, ...] = (1.0,) * 8) -> TrialRecord:
        found = [evidence(name, pgd_10=0.5, square=0.5 - gap) for name, gap in (("selected", selected), ("last", last))]
        trace = [{"epoch": float(epoch), "val/fosc": value} for epoch, value in enumerate(fosc, start=1)]
        outcome = "unstable" if max(selected, last) >= 0.08 else "stable"
        return record(seed, outcome, evidence=tuple(found), fields={"trace": trace})

    return make


def test_the_curve_at_the_protocols_threshold_is_the_labels_rate(trial: Callable[..., TrialRecord]) -> None:
    records = [trial(seed, gap, 0.01) for seed, gap in enumerate((0.0, 0.02, 0.5 - 0.42, 0.3))] + [trial(9, 0.0, 0.1)]
    (cell,) = gaps(records)
    assert cell.share(0.08) == sum(bool(r.verdict and r.verdict.outcome == "unstable") for r in records) / 5
    assert cell.values.tolist() == pytest.approx([0.01, 0.02, 0.08, 0.1, 0.3])
    assert gaps([records[0].model_copy(update={"verdict": None})]) == []


def test_a_peak_is_the_largest_threshold_with_an_onset(trial: Callable[..., TrialRecord]) -> None:
    rng = np.random.default_rng(0)
    records = [trial(seed, 0.0, 0.0, tuple(rng.gamma(2, size=12))) for seed in range(5)]
    (cell,) = fosc_peaks(records)
    for threshold in np.linspace(0.1, 6, 40):
        onsets = 0
        for record in records:
            detector = FoscDetector(threshold=threshold, patience=2, grace=5)
            for row in record.trace:
                detector.update(int(row["epoch"] or 0), row)
            onsets += bool(detector.onset_epochs)
        assert cell.count(threshold) == onsets


def test_the_band_is_that_of_drawing_trials_again_within_cells() -> None:
    rng = np.random.default_rng(1)
    cells = [CellValues(str(i), {}, np.sort(rng.random(n) + i)) for i, n in enumerate((10, 20))]
    thresholds = np.array([0.3, 0.9, 1.5, 3.0])
    found = profile(cells, thresholds)
    expected = np.mean([[cell.share(t) for t in thresholds] for cell in cells], axis=0)
    assert found.mean == pytest.approx(expected)
    drawn = [
        np.mean([(rng.choice(c.values, len(c.values)) >= thresholds[:, None]).mean(axis=1) for c in cells], axis=0)
        for _ in range(2000)
    ]
    assert found.low == pytest.approx(np.quantile(drawn, 0.025, axis=0), abs=0.051)
    assert found.high == pytest.approx(np.quantile(drawn, 0.975, axis=0), abs=0.051)


def test_images_that_all_trials_share_widen_the_interval(trial: Callable[..., TrialRecord]) -> None:
    records = [trial(seed, gap, 0.0) for seed, gap in enumerate((0.0, 0.06, 0.09, 0.09, 0.3))]
    (found,) = image_errors(records)
    assert found.images == 400
    assert found.shift == pytest.approx(2.2414 * np.sqrt(0.08 * 0.92 / 400), rel=1e-3)
    assert found.rates == (1 / 5, 4 / 5)
    assert (found.interval.low, found.interval.high) == (blaker_ends(1, 5, 0.975)[0], blaker_ends(4, 5, 0.975)[1])
    (looked,) = image_errors(records, kind="anytime")
    ends = confidence_sequence(1, 5, 0.975).low, confidence_sequence(4, 5, 0.975).high
    assert (looked.interval.low, looked.interval.high) == ends
