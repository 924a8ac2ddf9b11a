"""Counterparts of the TRADES instability paper's Figures 1 to 7, from a sweep's own trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.questions.healing import Before
from analysis.report.figures.dynamics import accuracy_gap, healed_or_not, masking, self_healing
from analysis.report.figures.gradients import batch_gradients
from analysis.report.figures.landscape import contour, surface
from analysis.report.figures.series import Names, contrast, has, heal_pair, outcome, self_healed
from analysis.report.figures.style import Draw, compose, save
from core.records import TrialRecord


@dataclass(frozen=True)
class Panel:
    """One panel of a figure of the paper."""

    figure: int
    draw: Draw
    description: str
    """What it shows and of which trial, in plain words."""
    part: str = ""
    """Panels of one figure with different parts are written as different files."""


def paper_panels(records: Sequence[TrialRecord], before: Before | None = None) -> list[Panel]:
    """Panels of Figures 2 to 6 (and so 7, Figure 2 under a schedule), as far as there are trials that show them.

    Args:
        records: of one sweep.
        before: the earlier sweep whose trials it trains again, if it does: the other half of Figure 6.
    """
    found = []
    names = Names(records)
    if pair := contrast(records):
        for record in pair:
            shows = f"FOSC, SGCS and PGD-10 accuracy, {outcome(record)}: {names(record)}"
            found.append(Panel(2, masking(record, names(record)), shows))
        if has(pair.second, "train/gap"):
            name = names(pair.second)
            found.append(Panel(3, accuracy_gap(pair.second, name), f"FOSC and the gap of training accuracies: {name}"))
    with_batches = [r for r in records if r.gradients and r.verdict and r.verdict.onset_epoch]
    if with_batches:
        record = max(with_batches, key=lambda r: r.epochs_run)
        name = names(record)
        found.append(Panel(4, batch_gradients(record, name), f"Gradients of batches around the onset: {name}"))
    if healed := self_healed(records):
        found.append(Panel(5, self_healing(healed, names(healed)), f"Self-healing: {names(healed)}"))
    if twins := heal_pair(records, before):
        ended = f"{outcome(twins.first)} without, {outcome(twins.second)} with"
        name = names(twins.second)
        found.append(Panel(6, healed_or_not(twins, name), f"With and without healing, {name}: at the end {ended}"))
    return found


def landscape_panels(offsets: np.ndarray, losses: Mapping[str, np.ndarray]) -> list[Panel]:
    """Panels of Figure 1, its surfaces and then its contours.

    Each has its own scale of loss: a masked checkpoint's is low where attacks look, and its shape is what shows.

    Args:
        offsets: ``[points]``, shared by all landscapes.
        losses: by title (such as ``unstable, image 3``), each ``[points, points]``.
    """
    return [
        Panel(1, kind(offsets, loss, title=title), f"Loss landscape: {title}", part)
        for part, kind in (("surface", surface), ("contour", contour))
        for title, loss in losses.items()
    ]


def write_figures(panels: Sequence[Panel], folder: Path, form: str = "svg") -> list[Path]:
    """One file per figure, ``figure-1-surface.svg``, ``figure-2.svg`` and so on, its panels two to a row.

    Args:
        panels: from `paper_panels` and `landscape_panels`.
        folder: exists.
        form: ``svg``, ``pdf`` or ``png``.

    Returns:
        The files' paths.

    Raises:
        ValueError: `form` is not one of those allowed.
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
