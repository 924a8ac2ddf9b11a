"""Report sections of measures and of robust overfitting, from records alone."""

from __future__ import annotations

from statistics import stdev
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.questions.rates import outcome
from analysis.questions.robust_overfitting import best_and_end
from analysis.report.context import report_context
from analysis.report.figures.measures import plane, reliability
from analysis.report.sections.black_box import black_box_sections
from analysis.report.sections.measures import (
    calibration_sections,
    landscape_sections,
    nearest_sections,
    smoothness_sections,
    vulnerability_sections,
)
from analysis.report.sections.robust_overfitting import overfitting_sections
from analysis.report.tables.measure_table import COLUMNS, TITLES, measure_tables
from core.config import Cell
from core.records import Evidence, Measured, Measurement, TrialRecord
from tests.analysis_report.conftest import synthetic_trial

CELL = Cell.from_flat({"beta": 3})
SECTIONS = (
    vulnerability_sections,
    smoothness_sections,
    nearest_sections,
    landscape_sections,
    calibration_sections,
)


def measure(name: str, level: float, **fields: Any) -> Measured:
    """A measure whose first value is ``level``."""
    percentiles = [level * k / 50 + 0.01 for k in range(101)]
    loss = 2 if name in ("weight-landscape-2d", "input-landscape") else 1
    arrays: dict[str, list[float]] = {
        "percentiles": percentiles,
        "upper_percentiles": percentiles,
        "offsets": [-1.0, 0.0, 1.0],
        "loss": list(np.linspace(level, level + 1, 3**loss)),
    }
    for kind in ("clean", "attacked"):
        arrays |= {f"{kind}_bin_{part}": [level / 3, 0.0, 0.5] for part in ("share", "confidence", "accuracy")}
    return Measured.model_validate(
        {
            "measure": name,
            "checkpoint": "selected",
            "epoch": 5,
            "split": "train",
            "images": 100,
            "epsilon": 0.1,
            "steps": 50,
            "block": 128,
            "seed": 0,
            "values": dict.fromkeys(COLUMNS[name], level),
            "arrays": arrays,
            **fields,
        }
    )


def trials() -> list[TrialRecord]:
    found = []
    for seed, probability, level in ((0, 0.0, 0.2), (1, 0.0, 0.4), (2, 1.0, 0.9)):
        record = synthetic_trial(CELL, seed, probability=probability, audit=True)
        found.append(record.model_copy(update={"measures": tuple(measure(name, level) for name in TITLES)}))
    return found


def test_every_measure_has_a_table_a_section_and_a_picture() -> None:
    records = trials()
    context = report_context("s", records)
    sections = [section for make in SECTIONS for section in make(context)]
    assert len(sections) == 5
    titles = [table.caption.split(",")[0] for section in sections for table in section.tables]
    assert {title.split(",")[0] for title in TITLES.values()} == set(titles)
    assert sum(len(section.tables) for section in sections) == len(TITLES) == len(measure_tables(records))
    # two planes have a picture per outcome, and calibration has two; boundary distortion has none
    assert sum(len(section.pictures) for section in sections) == 7 + 2 * 2 + 2
    captions = " ".join(p.caption for section in sections for p in section.pictures)
    for counterpart in ("Figure 1(a)", "Figure 1(b)", "Figure 3 of SEAT", "Figure 4 of SEAT", "Figure 4 of ISEAT"):
        assert counterpart in captions


def test_stable_and_unstable_trials_have_rows_of_their_own() -> None:
    table = measure_tables(trials())[0]
    assert [row[1:3] for row in table.rows] == [["stable", "2"], ["unstable", "1"]]
    assert table.rows[0][3] == f"0.3 ± {stdev([0.2, 0.4]):.2g}"
    assert table.rows[1][3] == "0.9"
    assert "100 training images, 50 steps, seed 0, radius 0.1. Mean" in table.caption
    assert "directly" not in table.caption
    other = [record.model_copy(update={"measures": (measure("margin", 0.4, epsilon=0.2),)}) for record in trials()]
    both = measure_tables([*trials(), *(record.model_copy(update={"seed": 9}) for record in other)])
    caption = next(t.caption for t in both if t.caption.startswith("Margin"))
    assert "radius 0.1 or 0.2" in caption
    assert "directly" not in caption, "radii are part of the cells"


def test_outcomes_that_only_differ_between_cells_are_said() -> None:
    """Where no cell has both outcomes, the option of the cells may be what the measures follow."""
    (within,) = vulnerability_sections(report_context("s", trials()))
    assert within.note == ""
    other = Cell.from_flat({"beta": 6})
    moved = [
        record.model_copy(update={"cell": other.flat(), "cell_id": other.id})
        if outcome(record) == "unstable"
        else record
        for record in trials()
    ]
    (between,) = vulnerability_sections(report_context("s", moved))
    assert "may come from their options" in between.note
    stable = [record for record in moved if outcome(record) == "stable"]
    (alone,) = vulnerability_sections(report_context("s", stable))
    assert alone.note == ""


def test_planes_that_are_compared_have_one_scale() -> None:
    figure = Figure()
    low, high = (measure("input-landscape", level) for level in (0.2, 0.9))
    for measured in (low, high):
        panel = figure.subfigures()
        plane(measured, "title", ("one", "other"), (0.2, 1.9))(panel)
        assert panel.axes[-1].get_ylim() == pytest.approx((0.15, 1.95), abs=0.06)


def test_bins_with_few_images_are_not_drawn() -> None:
    record = trials()[0]
    share = {"attacked_bin_share": [0.09, 0.1, 0.81], "attacked_bin_confidence": [0.2, 0.5, 0.9]}
    arrays = {**measure("calibration", 1.0).arrays, **share, "attacked_bin_accuracy": [0.0, 0.4, 0.8]}
    panel = Figure().subfigures()
    reliability([(record, measure("calibration", 1.0, arrays=arrays))], "attacked", "title")(panel)
    drawn = panel.axes[0].lines[0]
    assert (list(drawn.get_xdata()), list(drawn.get_ydata())) == ([0.5, 0.9], [0.4, 0.8])


def test_different_settings_are_said_and_a_value_that_is_not_finite_is_no_number() -> None:
    records = trials()
    odd = measure("margin", 0.5, images=50, values={"mean": None})
    records[0] = records[0].model_copy(update={"measures": (odd,)})
    tables = {table.caption.split(",")[0]: table for table in measure_tables(records)}
    assert "cannot be compared directly" in tables["Margin along the attack"].caption
    assert tables["Margin along the attack"].rows[0][3] == "0.4"


def test_a_sweep_without_measures_has_no_section() -> None:
    records = [record.model_copy(update={"measures": ()}) for record in trials()]
    context = report_context("s", records)
    assert [section for make in SECTIONS for section in make(context)] == []


def evaluated(checkpoint: str, images: int = 10, **accuracies: float) -> Evidence:
    measured = [
        Measurement(attack=name.replace("_", "-"), accuracy=value, images=images, split="test")
        for name, value in accuracies.items()
    ]
    return Evidence(checkpoint=checkpoint, epoch=1, measurements=tuple(measured))


def best_end(seed: int, best: float, end: float, **fields: Any) -> TrialRecord:
    record = synthetic_trial(CELL, seed, probability=0.0)
    assert record.verdict is not None
    evidence = [
        evaluated(name, clean=value + 0.05, pgd_10=value, square=value)
        for name, value in (("selected", best), ("last", end))
    ]
    return record.model_copy(
        update={"verdict": record.verdict.model_copy(update={"evidence": tuple(evidence)}), **fields}
    )


def test_robust_overfitting_is_the_difference_per_trial() -> None:
    records = [best_end(0, 0.5, 0.4), best_end(1, 0.6, 0.45), best_end(2, 0.9, 0.1, stopped_early=True)]
    rows = {row.attack: row for row in best_and_end(records)}
    assert set(rows) == {"clean", "pgd-10", "square"}
    assert rows["pgd-10"].difference.mean == pytest.approx(0.125)
    assert rows["pgd-10"].difference.deviation == pytest.approx(stdev([0.1, 0.15]))
    assert rows["pgd-10"].best.trials == 2
    (section,) = overfitting_sections(report_context("s", records))
    assert section.tables[0].rows[1][-1] == "+12.5 ± 3.5"


def test_the_black_box_table_has_square_and_transfers_of_one_evaluation() -> None:
    def black_box(**accuracies: float) -> Evidence:
        return evaluated("selected", clean=0.9, pgd_10=0.5, fgsm=0.6, **accuracies)

    records = [
        best_end(0, 0.5, 0.4, evaluations=(black_box(square=0.25, transfer_pgd_10=0.75),)),
        best_end(1, 0.5, 0.4, evaluations=(black_box(square=0.35, transfer_pgd_10=0.85),)),
        best_end(2, 0.5, 0.4, evaluations=(black_box(square=0.95),)),
    ]
    (section,) = black_box_sections(report_context("s", records))
    (row,) = section.tables[0].rows
    assert section.tables[0].header[3:] == ["Clean", "PGD-10", "Square", "PGD-10"]
    assert row[1:] == ["stable", "2", "90.0 ± 0.0", "50.0 ± 0.0", "30.0 ± 7.1", "80.0 ± 7.1"]
    assert black_box_sections(report_context("s", records[2:])) == []


@pytest.mark.parametrize(
    ("sources", "columns"),
    [
        (("vgg11-1a2b3c4d", "resnet18-1a2b3c4d"), ("PGD-10 from resnet18", "PGD-10 from vgg11")),
        (("vgg11-2a2b3c4d", "vgg11-1a2b3c4d"), ("PGD-10 from vgg11-1a2b3c4d", "PGD-10 from vgg11-2a2b3c4d")),
    ],
)
def test_columns_of_the_black_box_table_do_not_depend_on_the_order_of_the_commands(
    sources: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    names = (*(f"transfer-pgd-10 from {source}" for source in sources), "square", "pgd-10", "clean")
    measured = [
        Measurement(attack=name, accuracy=0.5, images=10, split="test", steps=20 if name == "pgd-10" else None)
        for name in names
    ]
    evidence = Evidence(checkpoint="selected", epoch=1, measurements=tuple(measured))
    (section,) = black_box_sections(report_context("s", [best_end(0, 0.5, 0.4, evaluations=(evidence,))]))
    assert section.tables[0].header[3:] == ["Clean", "PGD-20", "Square", *columns]


def test_autoattack_counts_where_both_checkpoints_have_it_on_the_same_images() -> None:
    both = (evaluated("selected", autoattack=0.3), evaluated("last", autoattack=0.2))
    records = [
        best_end(0, 0.5, 0.4, evaluations=both),
        best_end(1, 0.5, 0.4, evaluations=both[:1]),
        best_end(2, 0.5, 0.4, evaluations=(both[0], evaluated("last", images=20, autoattack=0.1))),
    ]
    rows = {row.attack: row for row in best_and_end(records)}
    assert rows["autoattack"].best.trials == 1
    assert rows["autoattack"].difference.mean == pytest.approx(0.1)
