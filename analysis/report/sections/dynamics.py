"""The course of trials over their epochs: all trials by outcome, and single trials in detail."""

from __future__ import annotations

from analysis.report.context import ReportContext
from analysis.report.figures.paper import paper_panels
from analysis.report.figures.series import has
from analysis.report.figures.trajectories import METRICS, aligned, metric_name, trajectories
from analysis.report.sections.base import Section, picture


def trajectory_sections(context: ReportContext) -> list[Section]:
    """One section: FOSC, SGCS and accuracies of every trial, and the same metrics around the onsets."""
    records = context.records
    measured = [metric for metric in METRICS if any(has(record, metric) for record in records)]
    with_onset = [record for record in records if record.verdict and record.verdict.onset]
    around = [m for m in ("val/fosc", "val/sgcs", "train/gap") if any(has(record, m) for record in with_onset)]
    text = "Each line is a trial; the dotted line is the FOSC threshold."
    if {"val/linearity_error", "val/boundary_distortion"} & set(measured):
        text += " Linearity error and boundary distortion: as Figures 1, 5, C.1 and C.2 of SEAT."
    if around:
        text += (
            " Around the onset: median and quartiles over all trials with an onset; the paper's Figures 2 and 3 show a "
            "single trial."
        )
    return [
        Section(
            "trajectories",
            "Stable and unstable trials",
            text if measured else "No epoch has been measured yet.",
            [
                *(picture(trajectories(records, m), f"{metric_name(m, records)}, all trials") for m in measured),
                *(picture(aligned(records, m), f"{metric_name(m, records)} around the onset") for m in around),
            ],
        )
    ]


def example_sections(context: ReportContext) -> list[Section]:
    """Single trials as in the paper's Figures 2 to 7, as far as the sweep has them, and Figure 1 if it was computed."""
    panels = paper_panels(context.records, context.earlier)
    landscapes = Section(
        "landscapes",
        "Loss landscapes",
        "The loss around test images, along the sign of the gradient and along a random direction, up to the radius, "
        "of a stable and an unstable trial. Both have one scale for each image. Where gradients are masked, the loss "
        "is rough, or does not rise along them.",
        [picture(p.draw, p.description, f"As Figure 1. {p.description}.") for p in context.landscapes],
        pairs=True,
    )
    return [
        *([landscapes] if context.landscapes else []),
        Section(
            "examples",
            "Single trials",
            "These figures correspond to those of the paper. Their trials are chosen by rule: a stable and an unstable "
            "trial, of one cell if a cell has both, a trial that recovered, and a trial with and without healing."
            if panels
            else "There is no pair of a stable and an unstable trial yet.",
            [picture(p.draw, p.description, f"As Figure {p.figure}. {p.description}") for p in panels],
        ),
    ]
