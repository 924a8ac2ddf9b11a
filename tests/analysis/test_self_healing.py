"""Constructed traces, including the one of the paper's Figure 5, epochs 142 and 143."""

from __future__ import annotations

import pytest

from analysis.questions.self_healing import recoveries
from core.config import Cell, ProtocolOptions
from core.records import TrialRecord, Verdict
from core.verdict import FoscDetector

PROTOCOL = ProtocolOptions()


def trial(fosc, accuracy=None, norm=None, heal="none"):
    """A trial with these values from epoch 1 on, and with the onsets and recoveries of the online detector."""
    detector = FoscDetector(threshold=3.0, patience=2, grace=5)
    rows = []
    for epoch, value in enumerate(fosc, 1):
        row = {"epoch": float(epoch), "val/fosc": value}
        if accuracy is not None:
            row["train/clean_acc"] = accuracy[epoch - 1]
        if norm is not None:
            row["grad/w_norm"] = norm[epoch - 1]
        detector.update(epoch, row)
        rows.append(row)
    cell = Cell.from_flat({"heal": heal, "epochs": len(fosc)})
    return TrialRecord(
        sweep="hand",
        cell_id=cell.id,
        cell=cell.flat(),
        seed=0,
        protocol=PROTOCOL.model_dump(mode="json"),
        verdict=Verdict(
            outcome="healed",
            onset=bool(detector.onset_epochs),
            onset_epochs=tuple(detector.onset_epochs),
            recovery_epochs=tuple(detector.recovery_epochs),
        ),
        epochs_planned=len(fosc),
        epochs_run=len(fosc),
        trace=rows,
    )


def figure_5():
    """200 epochs, masked from 120. FOSC and training accuracy drop at 142, and the gradient norm drops at 143."""
    epochs = range(1, 201)
    fosc = [9.0 if 120 <= e < 142 else 0.3 for e in epochs]
    accuracy = [0.2 + 0.002 * e - (0.05 if e == 142 else 0.0) for e in epochs]
    norm = [2.5 if 120 <= e <= 142 else 0.8 for e in epochs]
    return fosc, accuracy, norm


def test_the_paper_s_description_is_the_whole_signature():
    (found,) = recoveries([trial(*figure_5())])
    assert (found.onset_epoch, found.epoch, found.with_healing) == (120, 142, False)
    assert (found.peak_fosc, found.fosc) == (9.0, 0.3)
    assert found.accuracy.after - found.accuracy.before == pytest.approx(0.002 - 0.05)
    assert (found.gradient_norm.before, found.gradient_norm.after) == (2.5, 0.8)
    assert found.parts == (True, True, True)
    assert found.signature is True


def test_how_usual_a_change_is():
    (found,) = recoveries([trial(*figure_5())])
    # Among 199 changes there is no other decrease of the accuracy or of the norm.
    assert found.accuracy.usual == 0
    assert found.gradient_norm.usual == 0
    fosc, _, norm = figure_5()
    restless = [0.5 - 0.05 * (e % 2 == 0) for e in range(1, 201)]  # It decreases at every even epoch, including 142.
    (found,) = recoveries([trial(fosc, restless, norm)])
    assert found.signature is True
    # About half of the 198 other changes are equally large decreases, up to rounding: 98.
    assert found.accuracy.usual == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "change, parts",
    [
        ("fosc", (False, True, True)),
        ("accuracy", (True, False, True)),
        ("norm", (True, True, False)),
    ],
)
def test_one_missing_part_is_not_the_signature(change, parts):
    fosc, accuracy, norm = figure_5()
    if change == "fosc":
        fosc[141:] = [0.91] * 59  # This is just above a tenth of the peak and below the threshold.
    if change == "accuracy":
        accuracy[141] = accuracy[140]
    if change == "norm":
        norm[142] = norm[141]
    (found,) = recoveries([trial(fosc, accuracy, norm)])
    assert found.parts == parts
    assert found.signature is False


def test_what_was_not_measured_is_unknown_unless_another_part_fails():
    fosc, accuracy, norm = figure_5()
    (found,) = recoveries([trial(fosc, accuracy)])
    assert found.gradient_norm is None
    assert (found.parts, found.signature) == ((True, True, None), None)
    (found,) = recoveries([trial(fosc, [0.5] * 200)])
    assert (found.parts, found.signature) == ((True, False, None), False)
    accuracy[140] = None  # The loss is not finite in this epoch.
    (found,) = recoveries([trial(fosc, accuracy, norm)])
    assert found.accuracy is None
    assert found.signature is None
    (found,) = recoveries([trial(fosc[:142], accuracy[:142], norm[:142])])  # The trial ended with the recovery.
    assert found.gradient_norm is None


def test_a_fosc_that_is_not_finite_counts_as_masked_and_has_no_size():
    fosc = [0.3] * 10 + [None, None] + [0.1] * 3
    (found,) = recoveries([trial(fosc)])
    assert (found.onset_epoch, found.epoch) == (11, 13)
    assert (found.peak_fosc, found.near_zero) == (None, None)


def test_every_recovery_is_an_event_of_its_own():
    fosc = [0.3] * 9 + [5.0] * 3 + [0.2] * 4 + [20.0] * 2 + [2.5] * 2 + [8.0] * 3
    found = recoveries([trial(fosc), trial([0.3] * 20)])
    assert [(r.onset_epoch, r.epoch) for r in found] == [(10, 13), (17, 19)]
    assert [r.peak_fosc for r in found] == [5.0, 20.0]
    assert [r.near_zero for r in found] == [True, False]


def test_healing_by_noise_is_kept_apart():
    (found,) = recoveries([trial(*figure_5(), heal="fosc")])
    assert found.with_healing


def test_running_trials_have_no_recoveries_yet():
    running = trial(*figure_5()).model_copy(update={"verdict": None, "status": "running"})
    assert recoveries([running]) == []
