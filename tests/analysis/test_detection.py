from __future__ import annotations

from collections.abc import Callable
from itertools import compress

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis.questions.detection import detector_quality, judge_detectors, recommended_threshold
from analysis.questions.replay import Replay, Traces, replay
from core.records import Rows
from core.verdict import DETECTORS, FoscDetector, FromMedian, OneStepGap


def trial(record: Callable, seed: int, jump: int | None, epochs: int = 20, **verdict: object) -> object:
    """A trial whose FOSC jumps from about 1 to about 6 at epoch `jump`, together with PGD-10 accuracy and SGCS."""
    rng = np.random.default_rng(seed)
    masked = np.arange(1, epochs + 1) >= (jump or epochs + 1)
    trace = [
        {
            "epoch": epoch,
            "val/fosc": float(rng.gamma(8) / 8 + 5 * m),
            "val/sgcs": float(0.8 - 0.4 * m + 0.02 * rng.standard_normal()),
            "train/gap": float(0.2 - 0.2 * m + 0.02 * rng.standard_normal()),
            "val/pgd10_acc": 0.2,
            "val/fgsm_acc": float(0.25 + 0.03 * rng.standard_normal()),
        }
        for epoch, m in enumerate(masked, start=1)
    ]
    outcome = "unstable" if jump else "stable"
    given = {"confirmed_epoch": jump + 4 if jump else None, **verdict}
    return record(seed, outcome, epochs_run=epochs, fields={"trace": trace}, **given)


def test_peaks_are_what_the_online_detector_does_at_every_threshold(record: Callable) -> None:
    records = [trial(record, i, 8 if i % 2 else None) for i in range(6)]
    for make in (
        lambda t=0.0: FoscDetector(threshold=t, patience=3, grace=2),
        lambda t=0.0: FromMedian("val/fosc", "ratio", threshold=t, patience=2, grace=4),
        lambda t=0.0: OneStepGap(threshold=t),
    ):
        replays = replay(Traces(records), make())
        for threshold in np.quantile([r.peak for r in replays], np.linspace(0, 1, 7)):
            for one, source in zip(replays, records, strict=True):
                online, first = make(float(threshold)), None
                for row in source.trace:
                    if online.update(int(row["epoch"]), row) and first is None:
                        first = int(row["epoch"])
                assert one.alarm_epoch(float(threshold)) == first
                assert (one.peak > threshold) == (first is not None)


def random_replays(seed: int, n: int, shift: float) -> tuple[list[Replay], list[bool]]:
    rng = np.random.default_rng(seed)
    kinds = rng.random(n) < 0.4
    peaks = np.round(rng.standard_normal(n) + shift * kinds, 1)
    return [Replay("cell", np.array([1]), np.array([p])) for p in peaks], kinds.tolist()


def test_a_detector_that_only_tells_cells_apart_is_useless() -> None:
    rng = np.random.default_rng(1)
    kinds = np.repeat([True] * 9 + [False] + [True] + [False] * 9, 5)
    cells = np.repeat(["a", "b"], 50)
    peaks = (cells == "a") + 0.1 * rng.standard_normal(100)
    replays = [Replay(str(c), np.array([1]), np.array([p])) for c, p in zip(cells, peaks, strict=True)]
    assert roc_auc_score(kinds, peaks) > 0.85
    assert 0.5 in detector_quality("x", replays, kinds, resamples=2).auc_interval
    only = (cells == "a") == kinds
    with pytest.raises(ValueError, match="45 of 90 trials have the failure, and no cell has both"):
        detector_quality("x", list(compress(replays, only)), kinds[only], resamples=2)


@pytest.mark.parametrize("seed", range(4))
def test_recommended_threshold_is_the_best_of_a_fine_grid(seed: int) -> None:
    replays, labels = random_replays(seed, 40, 1.5)
    kinds, peaks = np.array(labels), np.array([r.peak for r in replays])

    def gain(threshold: float) -> float:
        return float((peaks > threshold)[kinds].mean() - (peaks > threshold)[~kinds].mean())

    grid = np.linspace(-5, 5, 2001) + 1e-4
    assert gain(recommended_threshold(peaks, kinds)) == pytest.approx(max(gain(t) for t in grid))


def test_recommended_threshold_lies_in_the_middle_of_a_clean_gap() -> None:
    assert recommended_threshold(np.array([1.0, 2.0, 6.0, 9.0]), np.array([False, False, True, True])) == 4.0


def test_cross_validation_is_honest_about_a_useless_detector() -> None:
    hits, alarms = [], []
    for seed in range(60):
        found = detector_quality("noise", *random_replays(seed, 40, 0.0), resamples=2)
        hits.append(found.cross_validated_hits.rate)
        alarms.append(found.cross_validated_false_alarms.rate)
    assert np.mean(hits) - np.mean(alarms) == pytest.approx(0, abs=0.05)


def test_detectors_are_ranked_with_their_lead(record: Callable) -> None:
    records = [trial(record, i, 8 if i % 2 else None) for i in range(16)] + [record(99, None), record(98, "censored")]
    judged, skipped = judge_detectors(records, patience=2, grace=2)["any"]
    by_name = {quality.name: quality for quality in judged}
    assert set(by_name) | set(skipped) == {spec.title for spec in DETECTORS.values()}
    assert skipped == {
        "weight gradient norm": "the traces have no grad/w_norm",
        "linearity error": "the traces have no val/linearity_error",
        "linearity error / running median": "the traces have no val/linearity_error",
        "boundary distortion": "the traces have no val/boundary_distortion",
    }
    fosc = by_name["FOSC"]
    assert (fosc.auc, fosc.positives, fosc.negatives) == (1.0, 8, 8)
    assert 1.5 < fosc.threshold < 5
    assert fosc.threshold in fosc.threshold_interval
    assert fosc.lead_epochs == (3, 3, 3)  # The jump is at epoch 8, the alarm at 9, and its confirmation at 12.
    assert (fosc.cross_validated_hits.k, fosc.cross_validated_false_alarms.k) == (8, 0)
    assert judged[-1].name in ("one-step minus PGD", "PGD accuracy rise")


def test_one_kind_of_trial_cannot_judge(record: Callable) -> None:
    judged, skipped = judge_detectors([trial(record, i, None) for i in range(4)], patience=1, grace=0)["any"]
    assert judged == []
    assert skipped["FOSC"] == "0 of 4 trials have the failure, and no cell has both kinds of trials"


def test_a_metric_of_some_epochs_is_said_to_be_incomplete(record: Callable) -> None:
    records = [trial(record, i, 8 if i % 2 else None) for i in range(4)]
    for number, one in enumerate(records):
        rows = [{**row, "grad/w_norm": 1.0} if i % 2 == 0 else row for i, row in enumerate(one.trace)]
        records[number] = one.model_copy(update={"trace": Rows(rows)})
    _, skipped = judge_detectors(records, patience=1, grace=0)["any"]
    assert skipped["weight gradient norm"].startswith("grad/w_norm was measured in 40 of 80 epochs")
