"""The sections of the report: one file for each question, and one line here.

A section is a function from the `ReportContext` to the sections that the sweep has data for, often one or none.
"""

from collections.abc import Callable, Sequence

from analysis.report.context import ReportContext
from analysis.report.sections.against import against_sections
from analysis.report.sections.base import Section
from analysis.report.sections.black_box import black_box_sections
from analysis.report.sections.checkpoints import checkpoint_sections
from analysis.report.sections.cost import cost_sections
from analysis.report.sections.detection import detector_sections
from analysis.report.sections.differences import difference_sections
from analysis.report.sections.dynamics import example_sections, trajectory_sections
from analysis.report.sections.early_stopping_bias import early_stopping_sections
from analysis.report.sections.effects import effect_sections
from analysis.report.sections.evaluation import evaluation_sections
from analysis.report.sections.failures import failure_sections
from analysis.report.sections.feasibility import feasibility_sections
from analysis.report.sections.healing import healing_sections
from analysis.report.sections.measures import (
    calibration_sections,
    landscape_sections,
    nearest_sections,
    smoothness_sections,
    vulnerability_sections,
)
from analysis.report.sections.monotone import monotone_sections
from analysis.report.sections.next_steps import next_sections
from analysis.report.sections.onset import onset_sections
from analysis.report.sections.paper import paper_sections
from analysis.report.sections.provenance import provenance_sections
from analysis.report.sections.published import published_sections
from analysis.report.sections.robust_overfitting import overfitting_sections
from analysis.report.sections.self_healing import self_healing_sections
from analysis.report.sections.thresholds import threshold_sections
from analysis.report.sections.variance_components import variance_sections

MakeSections = Callable[[ReportContext], Sequence[Section]]

SECTIONS: tuple[MakeSections, ...] = (
    next_sections,
    against_sections,
    checkpoint_sections,
    onset_sections,
    effect_sections,
    difference_sections,
    monotone_sections,
    threshold_sections,
    trajectory_sections,
    example_sections,
    healing_sections,
    self_healing_sections,
    evaluation_sections,
    black_box_sections,
    overfitting_sections,
    vulnerability_sections,
    smoothness_sections,
    nearest_sections,
    landscape_sections,
    calibration_sections,
    detector_sections,
    failure_sections,
    feasibility_sections,
    early_stopping_sections,
    cost_sections,
    variance_sections,
    paper_sections,
    published_sections,
    provenance_sections,
)
"""All sections in the order of the page. The page shows the rates before them and the list of trials after them."""

TERMINAL_SECTIONS: tuple[MakeSections, ...] = (
    against_sections,
    healing_sections,
    evaluation_sections,
    paper_sections,
    published_sections,
)
"""Sections that `jobs/report.py` also prints on the terminal."""
