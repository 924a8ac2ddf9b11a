"""Labels of attacks describe the attacks that ran, independently of their keys in a record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from analysis.questions.rates import cell_rates
from analysis.report.answer_sentence import answer_sentence
from analysis.report.attack_names import attack_name, short_label
from analysis.report.definition import unstable_definition
from analysis.report.figures.style import compose
from analysis.report.figures.trajectories import trajectories
from analysis.report.tables.cells_export import render
from analysis.report.tables.cells_table import measured_label
from core.config import ProtocolOptions
from core.records import TrialRecord

RUN = {"pgd-10": {"steps": 20, "restarts": 1}, "pgd-50x5": {"steps": 50, "restarts": 1}, "square": {"queries": 300}}


def as_run(record: TrialRecord, steps: int = 20) -> TrialRecord:
    """The record with measurements that contain their options: other numbers of steps and restarts."""
    run = RUN | {"pgd-10": {"steps": steps, "restarts": 1}}
    evidence = tuple(
        e.model_copy(update={"measurements": tuple(replace(m, **run.get(m.attack, {})) for m in e.measurements)})
        for e in record.verdict.evidence
    )
    verdict = record.verdict.model_copy(update={"evidence": evidence})
    return record.model_copy(update={"verdict": verdict, "protocol": {**record.protocol, "eval_steps": steps}})


@pytest.fixture
def records(make_sweep) -> list[TrialRecord]:
    return make_sweep(betas=(1, 6), batch_sizes=(64,), seeds=3)


def test_the_main_table_has_the_steps_and_restarts_that_were_run(records):
    header = render(cell_rates([as_run(r) for r in records]), "markdown").splitlines()[0]
    columns = [name.strip() for name in header.split("|")]
    assert {"pgd-20", "pgd-50 x1", "square"} < set(columns)
    assert not {"pgd-10", "pgd-50"} & set(columns)


def test_a_sweep_that_mixes_several_says_so(records):
    mixed = [as_run(record, 10 if record.cell["beta"] == 1 else 20) for record in records]
    assert measured_label(cell_rates(mixed), "pgd-10") == "pgd-10/pgd-20"


def test_the_answer_names_the_attack_that_was_run(records):
    said = answer_sentence(cell_rates([as_run(record) for record in records], "overestimation"))
    assert "overestimated by PGD-20 at their end" in said


def test_figures_name_the_validation_attack_of_the_protocol(records):
    figure: Figure = compose([trajectories([as_run(record) for record in records], "val/pgd10_acc")])
    assert figure.subfigs[0].axes[0].get_title(loc="left") == "PGD-20 accuracy (validation)"


def test_names_in_sentences_and_in_narrow_columns():
    names = {"pgd-20": "PGD-20", "pgd-50x1": "PGD-50x1", "square-300": "Square", "apgd-ce": "APGD-CE", "cw": "cw"}
    assert {label: attack_name(label) for label in names} == names
    assert attack_name("transfer-pgd-10") == "transfer-PGD-10"
    assert (short_label("square-300"), short_label("pgd-50x1")) == ("square", "pgd-50x1")


def test_the_definition_has_the_protocol_s_thresholds():
    protocol = ProtocolOptions(eval_steps=7, overestimation_gap=0.12, catastrophic_gap=0.3, fosc_threshold=2.5)
    said = unstable_definition(protocol.model_dump())
    for part in ("PGD-7", "12 points", "30 points", "1000 queries", "2 epochs in a row", "above 2.5", "first 5 epochs"):
        assert part in said
    assert "first epoch does not count" in unstable_definition(
        protocol.model_copy(update={"fosc_grace": 1}).model_dump()
    )
