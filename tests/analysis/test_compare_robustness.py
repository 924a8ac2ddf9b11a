"""The tables of ISEAT and SEAT: which settings are theirs, and sweeps beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind_from_stats

from analysis.paper.compare_robustness import TRANSFER, SettingComparison, compare_robustness, is_setting
from analysis.paper.robustness_tables import published_papers, published_rows
from analysis.report.context import report_context
from analysis.report.sections.published import NAMES, published_sections
from core.attacks import build_attack
from core.config import Cell, load_preset
from core.config.models import MODELS
from core.evaluation.measures.names import MEASURES
from core.records import Evidence, Measured, Measurement, TrialRecord

PRESETS = Path(__file__).parents[2] / "jobs" / "presets"
Make = Callable[..., TrialRecord]
TABLE_3 = {
    "dataset": "cifar100",
    "model": "preact-resnet18",
    "method": "pgd-at",
    "augment": "crop-flip",
    "epochs": 200,
    "schedule": "step",
    "milestones": [100, 150],
    "nesterov": False,
    "validation_images": 1000,
    "epsilon": "8/255",
    "attack_steps": 10,
    "attack_step_size": "2/255",
}


def cells(preset: str) -> list[dict[str, Any]]:
    return [
        Cell.from_flat(options).flat()
        for grid in load_preset(preset, PRESETS).grids
        for options in grid.combinations({})
    ]


def rows_of(preset: str, paper: str, table: str) -> dict[str, int]:
    """How many cells of a preset each row of a table has."""
    found = cells(preset)
    return {
        row.name: sum(is_setting(cell, row) for cell in found)
        for row in published_rows()
        if (row.paper, row.table, row.checkpoint) == (paper, table, "selected")
    }


@pytest.mark.parametrize(
    ("preset", "paper", "table", "others"),
    [
        ("iseat-table2", "ISEAT", "2", {"InfoAT", "RST", "RST+MART", "RST+GAIRAT", "RST+AWP", "RST+RWP"}),
        ("iseat-table3", "ISEAT", "3", set()),
        ("iseat-table4", "ISEAT", "4", set()),
        ("iseat-table5", "ISEAT", "5", set()),
        ("iseat-table6", "ISEAT", "6", set()),
        ("seat-table1", "SEAT", "1", {"SEAT-FL"}),
        ("seat-table3", "SEAT", "3", set()),
        ("seat-table-d3", "SEAT", "D.3", set()),
    ],
)
def test_each_row_of_a_table_is_the_setting_of_a_cell_of_its_preset(
    preset: str, paper: str, table: str, others: set[str]
) -> None:
    found = rows_of(preset, paper, table)
    missing = {name for name, count in found.items() if count == 0}
    assert missing <= others | {"ISEAT-extra"}
    assert all(count <= 1 for count in found.values()), found


def test_every_row_with_extra_images_is_the_setting_of_a_cell() -> None:
    found = rows_of("iseat-table2-extra", "ISEAT", "2")
    table = [row for row in published_rows() if (row.paper, row.table) == ("ISEAT", "2")]
    extra = {row.name for row in table if row.options["extra_data"]}
    assert extra == {name for name, count in found.items() if count == 1}


def test_the_quoted_row_of_the_last_epoch_is_the_setting_of_a_cell() -> None:
    (row,) = (row for row in published_rows() if (row.paper, row.table, row.name) == ("ISEAT", "4", "LAS-AWP"))
    assert sum(is_setting(cell, row) for cell in cells("iseat-table4")) == 1


def test_the_data_agree_with_themselves() -> None:
    papers = published_papers()
    assert papers["ISEAT"].selects_on_test
    assert not papers["SEAT"].selects_on_test
    assert len(papers["SEAT"].conflicts) == 7
    rows = {(r.paper, r.table, r.name, r.checkpoint): r for r in published_rows()}
    assert len(rows) == len(published_rows())
    # Table 2's AT is repeated in Tables 7 to 9, and Table 6 has its mean
    at = rows["ISEAT", "2", "AT", "selected"].values["autoattack"]
    assert all(rows["ISEAT", table, "AT", "selected"].values["autoattack"] == at for table in ("7", "8", "9"))
    assert rows["ISEAT", "6", "AT", "selected"].values["autoattack"].mean == at.mean
    best, end = (rows["ISEAT", "4", "AT", checkpoint].values["autoattack"] for checkpoint in ("selected", "last"))
    assert best.mean - end.mean == pytest.approx(0.059, abs=1e-9)
    seat = rows["SEAT", "E.1", "SEAT", "selected"].values
    assert (seat["lipschitz/lower_mean"].mean, seat["lipschitz/upper_mean"].mean) == (19.4576, 254.4782)
    for row in published_rows():
        accuracies = [v.mean for name, v in row.values.items() if "/" not in name and name != "robust-overfitting"]
        assert all(0 <= value <= 1 for value in accuracies), row


def test_every_published_value_has_the_name_of_what_a_user_can_measure() -> None:
    for row in published_rows():
        for name in row.values:
            measure, slash, _ = name.partition("/")
            if slash:
                assert measure in MEASURES, (row, name)
            elif name not in {*NAMES, "clean", "autoattack"} and not name.startswith(TRANSFER):
                build_attack(name, row.options["epsilon"])
    networks = {name.removeprefix(TRANSFER) for row in published_rows() for name in row.values if TRANSFER in name}
    assert networks == {"resnet18", "resnet34", "vgg11"} <= MODELS.keys()


def evaluated(checkpoint: Any, images: int = 10_000, **accuracies: float) -> Evidence:
    measured = [
        Measurement(attack=name.replace("_", "-"), accuracy=value, images=images, split="test")
        for name, value in accuracies.items()
    ]
    return Evidence(checkpoint=checkpoint, epoch=1, measurements=tuple(measured))


@pytest.fixture
def trial(record: Make, evidence: Callable[..., Evidence]) -> Make:
    def make(seed: int, *evaluations: Evidence, **options: Any) -> TrialRecord:
        cell = Cell.from_flat({**TABLE_3, **options}).flat()
        fields = {"evaluations": evaluations}
        return record(seed, cell=cell, evidence=(evidence(clean=0.5, pgd_10=0.3, square=0.28),), fields=fields)

    return make


def only(found: list[SettingComparison]) -> SettingComparison:
    (comparison,) = found
    return comparison


def test_a_published_deviation_gives_welchs_test(trial: Make) -> None:
    ours = [0.2500, 0.2530, 0.2490]
    records = [
        trial(seed, evaluated("selected", clean=0.56, pgd_10=0.3, autoattack_standard=value))
        for seed, value in enumerate(ours)
    ]
    comparison = only(compare_robustness(records))
    assert (comparison.paper.table, comparison.paper.name) == ("3", "AT")
    assert comparison.differences == []
    value = comparison.values[1]
    test = ttest_ind_from_stats(np.mean(ours), np.std(ours, ddof=1), 3, 0.2512, 0.0022, 3, equal_var=False)
    assert value.test is not None
    assert value.test.p_value == pytest.approx(test.pvalue)
    assert value.conclusion == "reproduced"
    other = only(compare_robustness([r.model_copy(update={"cell": {**r.cell, "epochs": 50}}) for r in records]))
    assert other.differences == ["epochs 50 (paper: 200)"]
    assert other.values[1].conclusion == "not contradicted"


def test_fewer_images_are_a_difference(trial: Make) -> None:
    records = [trial(seed, evaluated("selected", 100, clean=0.5, pgd_10=0.3, autoattack=0.25)) for seed in range(2)]
    assert "autoattack: 100 images (paper: all)" in only(compare_robustness(records)).differences


def test_a_number_without_deviation_gives_an_interval_and_no_conclusion(trial: Make) -> None:
    gat = {"dataset": "cifar10", "method": "gat", "attack_steps": 1, "attack_step_size": "8/255"}
    values = [0.44, 0.46, 0.45]
    records = [
        trial(seed, evaluated("selected", clean=0.76, pgd_10=0.3, autoattack=value), **gat)
        for seed, value in enumerate(values)
    ]
    comparison = next(c for c in compare_robustness(records) if c.paper.table == "1")
    value = next(v for v in comparison.values if v.value == "autoattack")
    expected = ttest_1samp(values, 0.39).confidence_interval(0.95)
    assert value.test is not None
    assert (value.test.low, value.test.high) == pytest.approx((expected.low - 0.39, expected.high - 0.39))
    assert value.conclusion is None
    assert "no deviation in the paper" in value.why


def test_measures_and_robust_overfitting_are_set_beside(trial: Make) -> None:
    options = {"dataset": "cifar10", "model": "wrn-34-10", "method": "iseat", "smooth": "0then0.1@50%"}
    records = []
    for seed, best in enumerate((0.56, 0.57)):
        measured = Measured(
            measure="adversarial-vulnerability",
            checkpoint="selected",
            epoch=1,
            split="train",
            images=49_000,
            epsilon=8 / 255,
            block=128,
            seed=0,
            values={"sd": 0.21 + seed / 100},
        )
        both = [evaluated(c, clean=0.8, pgd_10=0.6, autoattack=a) for c, a in (("selected", best), ("last", 0.5))]
        records.append(trial(seed, *both, **options).model_copy(update={"measures": (measured,)}))
    comparison = next(c for c in compare_robustness(records) if c.paper.name == "0.1")
    values = {v.value: v.ours.mean for v in comparison.values if v.ours}
    assert values["adversarial-vulnerability/sd"] == pytest.approx(0.215)
    assert values["robust-overfitting"] == pytest.approx(0.065)


def test_transfers_are_of_the_network_that_the_paper_names(trial: Make) -> None:
    options = {"dataset": "cifar10", "method": "trades", "beta": 6, "attack_steps": 10}
    one = Measurement(attack="transfer-pgd-10 from resnet34-1a2b3c4d", accuracy=0.6, images=10_000, split="test")
    other = replace(one, attack="transfer-pgd-10 from resnet18-1a2b3c4d", accuracy=0.7)
    both = Evidence(checkpoint="selected", epoch=1, measurements=(one, other))
    comparison = next(c for c in compare_robustness([trial(0, both, **options)]) if c.paper.table == "2")
    values = {v.value: v.ours.mean for v in comparison.values if v.ours}
    assert values["transfer-resnet34"] == 0.6
    assert values["transfer-resnet18"] == 0.7
    assert "transfer-vgg11" not in values


def test_the_section_says_that_the_paper_selects_on_test_images(trial: Make) -> None:
    records = [trial(seed, evaluated("selected", clean=0.5, pgd_10=0.3, autoattack=0.25)) for seed in range(2)]
    (section,) = published_sections(report_context("s", records))
    assert "TEST set" in section.text
    assert "flattered" in section.text
    assert section.tables[0].header[0] == "Table 3, AT"
    seat = [r.model_copy(update={"cell": {**r.cell, "dataset": "cifar10", "method": "gat"}}) for r in records]
    (section,) = published_sections(report_context("s", seat))
    assert "single run" in section.text
    assert "contradicts itself" in section.note
    assert published_sections(report_context("s", [trial(0, dataset="digits", model="small-cnn")])) == []
