"""The figures of the TRADES instability paper (1 to 7), drawn from the trials of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.questions.healing import EarlierRecords
from analysis.questions.rates import outcome, trial_names
from analysis.report.figures.dynamics import accuracy_gap, healed_or_not, masking, self_healing
from analysis.report.figures.example_trials import contrast, heal_pair, self_healed
from analysis.report.figures.gradients import batch_gradients
from analysis.report.figures.landscape import contour, surface
from analysis.report.figures.series import has, pgd_name
from analysis.report.figures.style import Draw, compose, save
from core.records import TrialRecord


@dataclass(frozen=True)
class Panel:
    """One panel of a figure of the paper."""

    figure: int
    draw: Draw
    description: str
    """What the panel shows, and the name of the trial."""
    part: str = ""
    """Panels of one figure with different parts are written to different files."""


def paper_panels(records: Sequence[TrialRecord], earlier: EarlierRecords | None = None) -> list[Panel]:
    """Panels of Figures 2 to 6, as far as the sweep has trials for them; Figure 7 is Figure 2 with a schedule.

    Args:
        records: trials of one sweep.
        earlier: the earlier sweep whose trials this sweep trains again, if it does; it has one half of Figure 6.
    """
    found = []
    names = trial_names(records)
    if pair := contrast(records):
        for record in pair:
            shows = f"FOSC, SGCS and {pgd_name(record)} accuracy, {outcome(record)}: {names.of(record)}"
            found.append(Panel(2, masking(record, names.of(record)), shows))
        if has(pair.second, "train/gap"):
            name = names.of(pair.second)
            found.append(
                Panel(3, accuracy_gap(pair.second, name), f"FOSC and clean minus adversarial training accuracy: {name}")
            )
    with_batches = [r for r in records if r.gradients and r.verdict and r.verdict.onset_epoch]
    if with_batches:
        record = max(with_batches, key=lambda r: r.epochs_run)
        name = names.of(record)
        found.append(Panel(4, batch_gradients(record, name), f"Gradients of single batches around the onset: {name}"))
    if healed := self_healed(records):
        found.append(Panel(5, self_healing(healed, names.of(healed)), f"Self-healing: {names.of(healed)}"))
    if twins := heal_pair(records, earlier):
        ended = f"{outcome(twins.first)} without, {outcome(twins.second)} with"
        name = names.of(twins.second)
        found.append(Panel(6, healed_or_not(twins, name), f"With and without healing, {name}: at the end {ended}"))
    return found


def landscape_panels(
    offsets: np.ndarray, losses: Mapping[str, np.ndarray], checkpoints: Mapping[str, str]
) -> list[Panel]:
    """Panels of Figure 1, its surfaces and then its contours: image by image, with one scale for each.

    Args:
        offsets: ``[points]``, shared by all landscapes.
        losses: landscapes ``[images, points, points]`` by the outcome of their trial.
        checkpoints: the name of the trial and of its checkpoint, by the same outcome.
    """
    return [
        Panel(
            1,
            kind(offsets, found[image], title=f"{shown.capitalize()}, test image {image}", top=top),
            f"Loss landscape, {shown}: {checkpoints[shown]}",
            part,
        )
        for part, kind in (("surface", surface), ("contour", contour))
        for image, top in enumerate(np.max([found.max((1, 2)) for found in losses.values()], axis=0))
        for shown, found in losses.items()
    ]


def write_figures(panels: Sequence[Panel], folder: Path, form: str = "svg") -> list[Path]:
    """Write one file for each figure, such as ``figure-1-surface.svg`` or ``figure-2.svg``, with two panels in a row.

    Args:
        panels: panels from `paper_panels` and `landscape_panels`.
        folder: an existing folder.
        form: ``svg``, ``pdf`` or ``png``.

    Returns:
        The paths of the files.

    Raises:
        ValueError: `form` is not one of these.
    """
    if form not in ("svg", "pdf", "png"):
        raise ValueError(f"figure format {form!r} must be one of svg, pdf, png")
    by_file: dict[tuple[int, str], list[Draw]] = {}
    for panel in panels:
        by_file.setdefault((panel.figure, panel.part), []).append(panel.draw)
    return [
        save(compose(draws, columns=min(2, len(draws))), folder / f"figure-{number}{part and f'-{part}'}.{form}")
        for (number, part), draws in sorted(by_file.items())
    ]
