"""The label of a measurement describes the attack that ran, independently of its key in the record."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from core.records import Measurement

ADAPTER = TypeAdapter(Measurement)


@pytest.mark.parametrize(
    ("attack", "budget", "label"),
    [
        ("clean", {}, "clean"),
        ("fgsm", {"steps": 1, "restarts": 1}, "fgsm"),
        ("pgd-10", {"steps": 10, "restarts": 1}, "pgd-10"),
        ("pgd-10", {"steps": 20, "restarts": 1}, "pgd-20"),
        ("pgd-10", {}, "pgd-10"),
        ("pgd-50x5", {"steps": 50, "restarts": 5}, "pgd-50x5"),
        ("pgd-50x5", {"steps": 50, "restarts": 1}, "pgd-50x1"),
        ("pgd-50x5", {}, "pgd-50x5"),
        ("transfer-pgd-10", {"steps": 10, "restarts": 1}, "transfer-pgd-10"),
        ("pgd-targeted-random", {"steps": 20, "restarts": 1}, "pgd-targeted-random"),
        ("square", {"queries": 50}, "square-50"),
        ("standard/square", {"queries": 5000, "restarts": 1}, "standard/square-5000"),
        ("apgd-ce", {"steps": 100, "restarts": 5}, "apgd-ce"),
        ("autoattack", {}, "autoattack"),
    ],
)
def test_a_label_names_the_steps_restarts_and_queries_that_were_run(
    attack: str, budget: dict[str, int], label: str
) -> None:
    measured = Measurement(attack=attack, accuracy=0.5, images=10, split="test", **budget)
    assert measured.label == label
    assert ADAPTER.validate_json(ADAPTER.dump_json(measured)) == measured
    assert "label" not in ADAPTER.dump_python(measured)
