"""The two kinds of Square in a verdict: which one has the label, and both labels from one measurement."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from analysis.questions.rates import has_label
from core.attacks import build_attack, robust_accuracy
from core.config import Cell, ProtocolOptions, Trial
from core.probes import collect_evidence
from core.records import Evidence, Measurement, TrialRecord, Verdict

pytestmark = pytest.mark.numeric

FAST = {"square_queries": 30, "pgd50_restarts": 1, "eval_steps": 2}


def evidence_of(model: nn.Module, x: torch.Tensor, y: torch.Tensor, **options: Any) -> Evidence:
    protocol = ProtocolOptions(**FAST, **options)
    return collect_evidence(model, x, y, 0.05, protocol, seed=3, checkpoint="last", epoch=1, split="test")


def test_processes_that_share_the_images_get_the_evidence_of_one_process(network) -> None:
    """AutoAttack's Square, whose images share their random numbers, runs on the first process alone."""
    model = network().eval()
    x = torch.rand((20, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    protocol = ProtocolOptions(**FAST, both_squares=True)

    def measured(**share: Any) -> Evidence:
        return collect_evidence(model, x, y, 0.05, protocol, 3, "last", 1, "test", batch_size=1, **share)

    whole = measured()
    counts: list[torch.Tensor] = []

    def remember(own: torch.Tensor) -> torch.Tensor:
        counts.append(own)
        return own

    for rank in range(3):
        measured(rank=rank, workers=3, add=remember)
    total = torch.stack(counts).sum(0)
    assert [m.accuracy for m in whole.measurements] == (total / 20).tolist()
    shared = [[own.tolist()[column] > 0 for own in counts] for column in (0, 4, 5)]
    assert shared == [[True] * 3, [True] * 3, [True, False, False]]
    assert measured(workers=3, add=lambda own: total) == whole


@pytest.mark.parametrize("kind", ["rescaled", "autoattack"])
def test_the_label_has_the_chosen_square_and_the_other_is_measured_if_asked_for(kind: str, network) -> None:
    model = network().eval()
    x = torch.rand((60, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    expected = {
        "rescaled": robust_accuracy(model, build_attack("square", 0.05, queries=30), x, y, 3),
        "autoattack": robust_accuracy(model, build_attack("square-autoattack", 0.05, queries=30), x, y, 3),
    }
    other = {"rescaled": "autoattack", "autoattack": "rescaled"}[kind]
    assert expected["rescaled"] != expected["autoattack"]
    alone = evidence_of(model, x, y, square=kind)
    both = evidence_of(model, x, y, square=kind, both_squares=True)
    assert alone.measurements == both.measurements[:-1]
    assert (both.accuracy("square"), both.accuracy(f"square-{other}")) == (expected[kind], expected[other])
    labels = {"rescaled": "square-30", "autoattack": "square-autoattack-30"}
    assert both.measurement("square").label == labels[kind]
    assert (both.measurement("square").square, both.measurements[-1].square) == (kind, other)


def record_of(**squares: float) -> TrialRecord:
    """A finished trial with PGD accuracy 0.5 and these Squares: ``square`` of an earlier version, or by kind."""
    measured = [Measurement(attack="pgd-10", accuracy=0.5, images=100, split="test")]
    for kind, accuracy in squares.items():
        named = {} if kind == "square" else {"square": kind}
        key = "square" if kind in ("square", "autoattack") else f"square-{kind}"
        measured.append(Measurement(attack=key, accuracy=accuracy, images=100, split="test", **named))
    evidence = Evidence(checkpoint="last", epoch=1, measurements=tuple(measured))
    return TrialRecord(
        sweep="s",
        **Trial(cell=Cell.from_flat({}), seed=0).record_fields(),
        protocol=ProtocolOptions().model_dump(mode="json"),
        verdict=Verdict(outcome="stable", onset=False, overestimation=False, evidence=(evidence,)),
        epochs_run=1,
    )


def test_both_labels_come_from_one_record() -> None:
    """The gap of 0.08 is reached by 0.5 - 0.42, in spite of rounding, and not by 0.5 - 0.43."""
    record = record_of(autoattack=0.43, rescaled=0.42)
    assert has_label(record, "overestimation-autoattack") is False
    assert has_label(record, "overestimation-rescaled") is True


def test_records_of_earlier_versions_have_the_rescaled_label_only() -> None:
    record = record_of(square=0.4)
    assert has_label(record, "overestimation-rescaled") is True
    assert has_label(record, "overestimation-autoattack") is None
