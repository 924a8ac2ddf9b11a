"""Detectors by name. Each detector that a protocol may choose can run in every trial."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from core.config import ProtocolOptions
from core.config.protocol import OF_SMOOTHNESS, DetectorName
from core.probes.validation import METRICS, SMOOTHNESS
from core.verdict import DETECTORS, FoscDetector, build_detector

CHOOSABLE = get_args(DetectorName)
MEASURED_ALWAYS = {f"val/{name}": 0.5 for name in METRICS} | {"train/loss": 0.5, "train/adv_acc": 0.5, "train/lr": 0.5}


@pytest.mark.parametrize("name", CHOOSABLE)
def test_a_detector_that_a_protocol_may_choose_reads_metrics_of_every_trial(name: str) -> None:
    options = {} if name == "fosc" else {"detector_threshold": 0.25}
    smoothness = name in OF_SMOOTHNESS
    row = MEASURED_ALWAYS | ({f"val/{metric}": 0.5 for metric in SMOOTHNESS} if smoothness else {})
    detector = build_detector(
        ProtocolOptions(detector=name, fosc_patience=3, fosc_grace=4, smoothness=smoothness, **options)
    )
    assert isinstance(detector.score({"epoch": 1, **row}), float)
    assert (detector.patience, detector.grace) == (3, 4)
    assert detector.threshold == options.get("detector_threshold", 3.0)


@pytest.mark.parametrize("name", ["train-gap-drop", "train-gap-cusum", "gradient-norm"])
def test_the_others_need_metrics_that_some_trials_lack(name: str) -> None:
    assert name not in CHOOSABLE
    with pytest.raises(KeyError):
        DETECTORS[name].make(threshold=0, patience=1, grace=0).score({"epoch": 1, **MEASURED_ALWAYS})


def test_the_default_is_fosc_with_its_own_threshold() -> None:
    detector = build_detector(ProtocolOptions(fosc_threshold=0.7))
    assert (type(detector), detector.threshold) == (FoscDetector, 0.7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detector": "sgcs-drop"}, "detector sgcs-drop needs a detector_threshold"),
        ({"detector_threshold": 2}, "detector_threshold 2 is impossible with detector fosc; give fosc_threshold"),
        ({"detector": "linearity-error", "detector_threshold": 1}, "detector linearity-error needs smoothness"),
        ({"detector": "gradient-norm", "detector_threshold": 1}, "Input should be 'fosc', .*'one-step-gap'"),
    ],
)
def test_a_wrong_choice_is_an_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ProtocolOptions.model_validate(options)
