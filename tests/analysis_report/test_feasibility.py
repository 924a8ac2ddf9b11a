from __future__ import annotations

from analysis.report.context import report_context
from analysis.report.feasibility_note import feasibility_note, feasibility_warnings
from analysis.report.sections.feasibility import feasibility_sections
from core.config import Cell
from core.records import Feasibility
from tests.analysis_report.conftest import synthetic_trial


def found(epsilon: float, close: int, examined: int = 400, images: int = 400) -> Feasibility:
    return Feasibility(epsilon=epsilon, close=close, examined=examined, test_images=images)


def test_only_a_share_above_one_percent_is_a_warning() -> None:
    assert feasibility_note("digits", found(0.15, 4)).startswith(
        "At radius 0.15, 1.0 % of the test images of digits have"
    )
    assert feasibility_note("digits", found(0.28, 5)).startswith("Warning: At radius 0.28, 1.2 % of")


def test_a_sample_has_the_exact_binomial_interval() -> None:
    # scipy.stats.binomtest(31, 1000).proportion_ci(): 0.0212, 0.0437
    note = feasibility_note("cifar10", found(0.1, 31, 1000, 10_000))
    assert "about 3.1 % of the test images of cifar10 (95 % interval 2.1–4.4 %, from 1000 of 10000 images)" in note


def test_the_page_names_each_radius_once_and_warns() -> None:
    records = [
        synthetic_trial(Cell.from_flat({"epsilon": epsilon}), seed).model_copy(
            update={"feasibility": found(epsilon, close)}
        )
        for epsilon, close in ((0.28, 40), (0.15, 0))
        for seed in range(2)
    ]
    (section,) = feasibility_sections(report_context("s", records))
    assert [row[1:3] for row in section.tables[0].rows] == [("0.15", "0.0 %"), ("0.28", "10.0 %")]
    assert len(feasibility_warnings(records)) == 1
    earlier = [record.model_copy(update={"feasibility": None}) for record in records]
    assert feasibility_sections(report_context("s", earlier)) == []
