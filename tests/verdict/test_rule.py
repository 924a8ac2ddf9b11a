"""The rules from evidence to labels, and from labels to an outcome."""

from __future__ import annotations

import pytest

from core.config import ProtocolOptions
from core.records import Evidence, Measurement
from core.records.record import CheckpointName
from core.verdict import FoscDetector, censor, confirms_alarm, is_catastrophic, is_overestimated, judge

PROTOCOL = ProtocolOptions()


def evidence(
    checkpoint: CheckpointName = "last", epoch: int = 9, pgd: float = 0.3, square: float = 0.3, fgsm: float = 0.3
) -> Evidence:
    split = "validation" if checkpoint == "alarm" else "test"
    measured = {"pgd-10": pgd, "square": square, "fgsm": fgsm}
    measurements = [Measurement(attack=a, accuracy=v, images=400, split=split) for a, v in measured.items()]  # type: ignore[arg-type]
    return Evidence(checkpoint=checkpoint, epoch=epoch, measurements=tuple(measurements))


def detector(*fosc: float) -> FoscDetector:
    made = FoscDetector(threshold=3, patience=1, grace=0)
    for epoch, value in enumerate(fosc, start=1):
        made.update(epoch, {"val/fosc": value})
    return made


@pytest.mark.parametrize(
    ("pgd", "square", "holds"),
    [
        (0.30, 0.22, True),  # The binary value is slightly below 0.08.
        (0.08, 0.00, True),
        (0.50, 0.42, True),
        (0.30, 0.2225, False),  # This is one of 400 images less.
        (0.22, 0.30, False),
        (0.30, 0.10, True),
    ],
)
def test_eight_points_above_square_are_an_overestimation(pgd: float, square: float, holds: bool) -> None:
    assert is_overestimated(evidence(pgd=pgd, square=square), PROTOCOL.overestimation_gap) == holds
    assert confirms_alarm(evidence(pgd=pgd, square=square), PROTOCOL) == holds


@pytest.mark.parametrize(
    ("fgsm", "pgd", "holds"), [(0.5, 0.3, True), (0.4975, 0.3, False), (0.9, 0.7, True), (0.1, 0.3, False)]
)
def test_twenty_points_of_one_step_accuracy_above_pgd_are_catastrophic(fgsm: float, pgd: float, holds: bool) -> None:
    assert is_catastrophic(evidence(fgsm=fgsm, pgd=pgd), PROTOCOL) == holds
    assert confirms_alarm(evidence(fgsm=fgsm, pgd=pgd), PROTOCOL) == holds


def test_every_gap_of_whole_images_is_judged_exactly() -> None:
    for images in (100, 200, 250, 400, 1000):
        for fooled in range(images + 1):
            found = is_overestimated(evidence(pgd=fooled / images, square=0), PROTOCOL.overestimation_gap)
            assert found == (100 * fooled >= 8 * images)
            for base in (0.1, 1 / 3, 0.7):
                other = round(base * images)
                if fooled + other <= images:
                    pair = evidence(pgd=(fooled + other) / images, square=other / images)
                    assert is_overestimated(pair, PROTOCOL.overestimation_gap) == found


OVERESTIMATED = {"pgd": 0.4, "square": 0.1}
CATASTROPHIC = {"fgsm": 0.9}


@pytest.mark.parametrize(
    ("fosc", "given", "outcome", "labels"),
    [
        ((1, 1, 1), [evidence("selected"), evidence("last")], "stable", (False, False, False)),
        ((1, 9, 9), [evidence("selected"), evidence("last")], "unstable", (True, False, False)),
        ((1, 9, 1), [evidence("selected"), evidence("last")], "healed", (True, False, False)),
        ((1, 9, 1), [evidence("selected"), evidence("last", **OVERESTIMATED)], "unstable", (True, True, False)),
        ((1, 9, 1), [evidence("selected", **CATASTROPHIC), evidence("last")], "unstable", (True, False, True)),
        ((1, 1, 1), [evidence("selected", **OVERESTIMATED), evidence("last")], "unstable", (False, True, False)),
        ((1, 1, 1), [evidence("selected"), evidence("last", **CATASTROPHIC)], "unstable", (False, False, True)),
        # Earlier evidence and evidence of the gated checkpoint do not set labels.
        ((1, 9, 1), [evidence("alarm", 2, **OVERESTIMATED), evidence("last")], "healed", (True, False, False)),
        ((1, 1, 1), [evidence("gated", **OVERESTIMATED), evidence("last")], "stable", (False, False, False)),
        ((9, 1, 9), [evidence("last")], "unstable", (True, False, False)),
    ],
)
def test_outcome_follows_the_last_and_the_selected_checkpoint(
    fosc: tuple[float, ...], given: list[Evidence], outcome: str, labels: tuple[bool, bool, bool]
) -> None:
    verdict = judge(tuple(given), detector(*fosc), PROTOCOL)
    assert verdict.outcome == outcome
    assert (verdict.onset, verdict.overestimation, verdict.catastrophic) == labels
    assert verdict.evidence == tuple(given)
    assert verdict.censor_reason is None


def test_onsets_recoveries_and_the_first_confirmation_are_kept() -> None:
    alarms = [evidence("alarm", 2), evidence("alarm", 7, **CATASTROPHIC), evidence("alarm", 5, **OVERESTIMATED)]
    verdict = judge((*alarms, evidence("last")), detector(1, 9, 1, 9, 9, 1), PROTOCOL)
    assert (verdict.onset_epoch, verdict.onset_epochs, verdict.recovery_epochs) == (2, (2, 4), (3, 6))
    assert verdict.confirmed_epoch == 5


def test_a_censored_trial_has_no_labels_but_its_onsets() -> None:
    verdict = censor("timeout: 5 s passed in epoch 3", detector(1, 9, 9))
    assert (verdict.outcome, verdict.censor_reason) == ("censored", "timeout: 5 s passed in epoch 3")
    assert (verdict.overestimation, verdict.catastrophic) == (None, None)
    assert (verdict.onset, verdict.onset_epochs) == (True, (2,))
    assert not censor("crashed: its workers died").onset
