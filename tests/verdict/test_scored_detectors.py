from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.verdict import Cusum, FoscDetector, FromMedian, Level, OneStepGap, ScoredDetector, scored


def of_the_readme(threshold: float) -> ScoredDetector:
    """The detector of the recipe in ``core/README.md``, as it is printed there."""
    readme = (Path(__file__).parents[2] / "core" / "README.md").read_text()
    code = re.search(r"( +class PgdLossDrop\(.*?)```", readme, re.DOTALL)
    assert code
    namespace: dict[str, Any] = dict(vars(scored))
    exec(textwrap.dedent(code[1]), namespace)
    return namespace["PgdLossDrop"](threshold=threshold)


MAKERS: dict[str, Callable[[float], ScoredDetector]] = {
    "fosc": lambda t: FoscDetector(threshold=t, patience=2, grace=3),
    "level": lambda t: Level("val/fosc", threshold=t, patience=2, grace=3),
    "ratio": lambda t: FromMedian("val/fosc", "ratio", threshold=t, patience=2),
    "drop": lambda t: FromMedian("val/sgcs", "drop", threshold=t, patience=2),
    "rise": lambda t: FromMedian("val/pgd10_acc", "rise", threshold=t),
    "cusum": lambda t: Cusum("val/fosc", threshold=t),
    "one-step": lambda t: OneStepGap(threshold=t, patience=3, grace=1),
    "recipe": of_the_readme,
}


def trace(seed: int, epochs: int = 30) -> list[dict[str, float | None]]:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "val/fosc": float(rng.gamma(2)),
            "val/sgcs": float(rng.random()),
            "val/pgd10_acc": float(rng.random() / 2),
            "val/fgsm_acc": float(rng.random()),
            "val/pgd10_loss": float(rng.random()),
        }
        for _ in range(epochs)
    ]
    return [{name: None if rng.random() < 0.05 else value for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("name", MAKERS)
def test_an_interrupted_detector_goes_on_as_if_never_interrupted(name: str) -> None:
    rows, whole, first, second = trace(1), MAKERS[name](0.3), MAKERS[name](0.3), MAKERS[name](0.3)
    for epoch, row in enumerate(rows, start=1):
        whole.update(epoch, row)
    for epoch, row in enumerate(rows[:13], start=1):
        first.update(epoch, row)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for epoch, row in enumerate(rows[13:], start=14):
        second.update(epoch, row)
    assert vars(second) == vars(whole)
    assert whole.onset_epochs


@pytest.mark.parametrize("name", MAKERS)
def test_the_score_ignores_the_threshold(name: str) -> None:
    low, high = MAKERS[name](-1e9), MAKERS[name](1e9)
    for row in trace(2):
        assert low.score(row) == high.score(row)


def test_median_detectors_compare_with_all_earlier_epochs() -> None:
    values = [3.0, 1.0, 2.0, 8.0, 5.0]
    expected = [(v, np.median(values[:i]) if i else v) for i, v in enumerate(values)]
    for mode, rule in [("rise", lambda v, m: v - m), ("drop", lambda v, m: m - v), ("ratio", lambda v, m: v / m)]:
        detector = FromMedian("m", mode, threshold=0)  # type: ignore[arg-type]
        assert [detector.score({"m": v}) for v in values] == pytest.approx([rule(v, m) for v, m in expected])


def test_a_metric_that_is_not_finite_is_suspicious() -> None:
    nothing = dict.fromkeys(trace(3, 1)[0])
    measured = dict.fromkeys(nothing, 0.5)
    for name, make in MAKERS.items():
        detector = make(1e9)
        found = [detector.suspicious(row) for row in (measured, nothing, nothing, measured)]
        assert found == [False, True, True, False], name


def test_cusum_adds_up_small_shifts_and_forgets_them() -> None:
    detector = Cusum("m", baseline=4, drift=0.5, threshold=0)
    baseline = [1.0, 3.0, 1.0, 3.0]  # mean 2, standard deviation 1.1547
    scores = [detector.score({"m": v}) for v in [*baseline, 2 + 1.1547, 2 + 1.1547, 2.0, 2.0, 2.0]]
    assert scores == pytest.approx([0, 0, 0, 0, 0.5, 1.0, 0.5, 0.0, 0.0], abs=1e-4)
    falling = Cusum("m", -1, baseline=4, threshold=0)
    assert [falling.score({"m": v}) for v in [*baseline, 2 - 1.1547]][-1] == pytest.approx(0.5, abs=1e-4)
