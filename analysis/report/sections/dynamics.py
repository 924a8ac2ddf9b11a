"""What happens in trials: all of them by outcome, and the most telling ones in detail."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.healing import Before
from analysis.report.figures.paper import Panel, paper_panels
from analysis.report.figures.series import has
from analysis.report.figures.trajectories import METRICS, aligned, trajectories
from analysis.report.sections.base import Section, picture
from core.records import TrialRecord


def trajectory_section(records: Sequence[TrialRecord]) -> Section:
    """Every trial's FOSC, SGCS and accuracies, and the same metrics around the onsets."""
    measured = [metric for metric in METRICS if any(has(record, metric) for record in records)]
    with_onset = [record for record in records if record.verdict and record.verdict.onset]
    around = [m for m in ("val/fosc", "val/sgcs", "train/gap") if any(has(record, m) for record in with_onset)]
    return Section(
        "trajectories",
        "Stable against unstable",
        "Every trial is a line; dotted: the FOSC threshold of an alarm. Around the onset: median and quartiles over "
        "all trials with one, as the paper's Figures 2 and 3 show for a single trial."
        if measured
        else "No epoch has been measured yet.",
        [picture(trajectories(records, metric), f"{METRICS[metric]}, all trials") for metric in measured]
        + [picture(aligned(records, metric), f"{METRICS[metric]} around the onset") for metric in around],
    )


def example_section(
    records: Sequence[TrialRecord], landscapes: Sequence[Panel], before: Before | None = None
) -> Section:
    """Single trials as in the paper's Figures 1 to 7, as far as the sweep has them."""
    pictures = [
        picture(panel.draw, panel.description, f"As Figure {panel.figure}. {panel.description}")
        for panel in [*landscapes, *paper_panels(records, before)]
    ]
    return Section(
        "examples",
        "Single trials",
        "The counterparts of the paper's figures from this sweep's own trials, chosen by rule: a stable and an "
        "unstable trial of one cell with the longest trace, a trial that recovered, twins with and without healing."
        if pictures
        else "No stable and unstable trial to set beside each other yet.",
        pictures,
    )
