"""What happens in trials: all of them by outcome, and the most telling ones in detail."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.report.figures.dynamics import accuracy_gap, healed_or_not, masking, self_healing
from analysis.report.figures.gradients import batch_gradients
from analysis.report.figures.series import caption, contrast, has, heal_pair, outcome, self_healed
from analysis.report.figures.trajectories import METRICS, aligned, trajectories
from analysis.report.sections.base import Picture, Section, picture
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


def example_section(records: Sequence[TrialRecord]) -> Section:
    """Single trials as in the paper's Figures 2 to 7, as far as the sweep has them."""
    pictures = examples(records)
    return Section(
        "examples",
        "Single trials",
        "The counterparts of the paper's Figures 2–7 from this sweep's own trials, chosen by rule: a stable and an "
        "unstable trial of one cell with the longest trace, a trial that recovered, twins with and without healing."
        if pictures
        else "No stable and unstable trial to set beside each other yet.",
        pictures,
    )


def examples(records: Sequence[TrialRecord]) -> list[Picture]:
    """Pictures of the most telling trials; none where no trial fits."""
    found = []
    if pair := contrast(records):
        for record in pair:
            name = f"FOSC, SGCS and PGD-10 accuracy: {caption(record)}"
            found.append(picture(masking(record), name, f"As Figures 2 and 7: {outcome(record)}"))
        if has(pair.second, "train/gap"):
            name = f"FOSC and the gap of training accuracies: {caption(pair.second)}"
            found.append(picture(accuracy_gap(pair.second), name, "As Figure 3"))
    with_batches = [r for r in records if r.gradients and r.verdict and r.verdict.onset_epoch]
    if with_batches:
        record = max(with_batches, key=lambda r: r.epochs_run)
        name = f"Gradients of batches around the onset: {caption(record)}"
        found.append(picture(batch_gradients(record), name, "As Figure 4, the epochs around the onset"))
    if healed := self_healed(records):
        found.append(picture(self_healing(healed), f"Self-healing: {caption(healed)}", "As Figure 5"))
    if twins := heal_pair(records):
        name = f"With and without healing, seed {twins.first.seed}"
        found.append(picture(healed_or_not(twins), name, "As Figure 6, with and without healing"))
    return found
