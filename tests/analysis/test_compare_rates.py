from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from analysis.paper.compare_rates import compare_with_paper
from analysis.paper.tables import paper_cells, paper_tables
from core.config import Cell

PAPER = {
    "dataset": "cifar100",
    "model": "resnet18",
    "epochs": 200,
    "lr": 0.1,
    "augment": "crop-flip",
    "epsilon": "8/255",
    "attack_step_size": "2/255",
    "attack_steps": 10,
}


THOROUGH = {"square_queries": 5000, "verdict_images": 10_000}


@pytest.fixture
def trials(record: Callable, evidence: Callable) -> Callable[..., list]:
    def make(k: int, n: int, censored: int = 0, protocol: dict = THOROUGH, **options: Any) -> list:
        cell = Cell.from_flat({**PAPER, "beta": 3.0, "batch_size": 256, **options}).flat()
        masked, honest = evidence(pgd_10=0.30, square=0.22), evidence(pgd_10=0.3, square=0.23)
        shown = [("unstable", masked)] * k + [("stable", honest)] * (n - k) + [("censored", masked)] * censored
        return [record(i, o, cell=cell, protocol=protocol, evidence=(e,)) for i, (o, e) in enumerate(shown)]

    return make


def test_similar_counts_alone_reproduce_nothing(trials: Callable) -> None:
    (found,) = compare_with_paper(trials(6, 10, censored=2))
    assert (found.k, found.n, found.paper.k, found.paper.n, found.paper.table) == (6, 10, 7, 10, 2)
    assert found.differences == []
    assert found.difference[0] < -0.3, "a difference of more than the margin is not excluded"
    assert found.conclusion == "not contradicted"


def test_equivalence_with_the_same_setup_reproduces(trials: Callable) -> None:
    """Rates near 1 are known well enough: 0.95 of a paper's 10 of 10."""
    options = {"beta": 1.0, "batch_size": 256}
    (found,) = compare_with_paper(trials(40, 40, **options))
    assert (found.paper.k, found.paper.n) == (10, 10)
    assert found.conclusion == "reproduced"
    (other,) = compare_with_paper(trials(40, 40, epochs=50, **options))
    assert other.conclusion == "not contradicted"


def test_trials_that_could_not_have_shown_anything_are_too_few(trials: Callable) -> None:
    assert [compare_with_paper(trials(k, 1))[0].conclusion for k in (0, 1)] == ["too few seeds"] * 2
    assert compare_with_paper(trials(2, 4))[0].conclusion == "not contradicted", (
        "0 of 4 would have contradicted 7 of 10"
    )


def test_another_setup_never_reproduces_and_is_named(trials: Callable) -> None:
    (found,) = compare_with_paper(trials(7, 10, epochs=50, model="small-cnn"))
    assert found.differences == ["model small-cnn (paper: resnet18)", "epochs 50 (paper: 200)"]
    assert found.conclusion == "not contradicted"


def test_counts_that_cannot_come_from_one_probability_differ(trials: Callable) -> None:
    (found,) = compare_with_paper(trials(0, 10))
    assert found.p_value < 0.01
    assert found.conclusion == "contradicted"


def test_a_cell_without_finished_trials_says_so(trials: Callable) -> None:
    (found,) = compare_with_paper(trials(0, 0, censored=3))
    assert (found.conclusion, found.p_value) == ("no trials", 1)


def test_cells_without_counterpart_are_left_out(trials: Callable, record: Callable) -> None:
    other = trials(1, 3, beta=2.0) + trials(1, 3, dataset="svhn") + [record()]
    assert compare_with_paper(other) == []


def test_healed_trials_and_another_inner_attack_are_no_counterparts_of_table_2(trials: Callable) -> None:
    assert compare_with_paper(trials(0, 10, heal="fosc") + trials(0, 10, inner="ce")) == []


def test_only_the_selected_checkpoint_counts_as_in_the_paper(trials: Callable, evidence: Callable) -> None:
    last = evidence("last", pgd_10=0.5, square=0.1)
    records = [
        r.model_copy(update={"verdict": r.verdict.model_copy(update={"evidence": (last, *r.verdict.evidence)})})
        for r in trials(0, 3)
    ]
    assert compare_with_paper(records)[0].k == 0


def test_a_weaker_verdict_and_stopped_trials_are_named(trials: Callable) -> None:
    weak = [r.model_copy(update={"stopped_early": r.seed == 0}) for r in trials(7, 10, protocol={})]
    (found,) = compare_with_paper(weak)
    assert found.differences == [
        "1 of 10 trials stopped early (paper: none)",
        "square_queries 1000 (paper, not printed but usual: 5000)",
        "verdict_images 400 (paper, not printed but usual: 10000)",
    ]
    assert found.conclusion == "not contradicted"


def test_special_tables_are_matched_by_their_options(trials: Callable) -> None:
    scheduled = {"schedule": "step", "milestones": [100, 150]}
    found = compare_with_paper(trials(0, 3, **scheduled) + trials(9, 10, awp_radius=0.005))
    assert sorted((c.paper.table, c.paper.k, c.paper.n, c.conclusion) for c in found) == [
        (5, 0, 3, "not contradicted"),
        (7, 10, 10, "not contradicted"),
    ]


def test_published_options_are_options_of_a_cell() -> None:
    for cell in paper_cells():
        flat = Cell.from_flat(cell.options).flat()
        assert {name: flat[name] for name in cell.options} == cell.options


def test_the_data_has_all_tables_and_no_cell_twice() -> None:
    assert sorted({table["table"] for table in paper_tables()["tables"]}) == [1, 2, 3, 4, 5, 6, 7]
    keys = [tuple(sorted((k, str(v)) for k, v in cell.options.items())) for cell in paper_cells()]
    assert len(keys) == len(set(keys)) == 26
    counts = {key: (cell.k, cell.n) for key, cell in zip(keys, paper_cells(), strict=True)}
    again = paper_cells(repeated=True)
    assert len(again) == 6
    for cell in again:
        assert counts[tuple(sorted((k, str(v)) for k, v in cell.options.items()))] == (cell.k, cell.n)
    assert sum(cell.k for cell in paper_cells()) == 48 + 31 + 6 + 3 + 20
