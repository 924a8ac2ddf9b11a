"""How the rates depend on the thresholds of the labels, and on the test images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.questions.threshold_curves import CellValues, ImageError, fosc_peaks, gaps, image_errors, profile
from analysis.report.attack_names import attack_name
from analysis.report.context import ReportContext
from analysis.report.figures.thresholds import grid, threshold_curves
from analysis.report.formatting import NOTHING, format_ends
from analysis.report.sections.base import Section, picture
from analysis.report.tables.cells_table import measured_label
from analysis.report.tables.text_table import TextTable

FACTORS = (0.5, 1, 2)
"""Multiples of the protocol's thresholds in the table."""


def threshold_sections(context: ReportContext) -> list[Section]:
    """One section: profiles of the gap and of FOSC, rates at other thresholds, and the error of the images."""
    counted = [record for record in context.counted if record.verdict]
    by_gap, by_fosc = gaps(counted), fosc_peaks(counted)
    if not by_gap:
        return []
    protocol = counted[0].protocol
    gap, fosc = protocol["overestimation_gap"], protocol["fosc_threshold"]
    pgd = attack_name(measured_label(context.cells, "pgd-10"))
    pictures = [
        picture(
            threshold_curves(
                by_gap,
                context.cell_names,
                profile(by_gap, grid(by_gap, gap), context.level),
                gap,
                f"{pgd} minus Square",
            ),
            "Share of trials over the threshold of the gap",
            "Larger of the gaps at the selected and at the last checkpoint, or where the trial was stopped.",
        )
    ]
    if by_fosc:
        thresholds = grid(by_fosc, fosc, log=True)
        drawn = threshold_curves(
            by_fosc, context.cell_names, profile(by_fosc, thresholds, context.level), fosc, "FOSC threshold", log=True
        )
        pictures.append(picture(drawn, "Share of trials with an onset over the FOSC threshold"))
    return [
        Section(
            "thresholds",
            "Rates and thresholds",
            "Would the rates be others with another threshold? Each line is a cell: the share of its trials whose "
            "value is at least the threshold; the dotted line is the protocol's. Where a curve is steep there, the "
            "rate depends on the threshold; where it is flat, trials are clearly on one side.",
            pictures,
            [_table(context, by_gap, by_fosc, gap, fosc)],
            _images(context),
        )
    ]


def _table(
    context: ReportContext, by_gap: Sequence[CellValues], by_fosc: Sequence[CellValues], gap: float, fosc: float
) -> TextTable:
    peaks = {cell.cell_id: cell for cell in by_fosc}
    errors = {error.cell_id: error for error in _errors(context)}
    rows = []
    for cell in by_gap:
        low, middle, high = 100 * np.quantile(cell.values, (0.25, 0.5, 0.75))
        peak, error = peaks.get(cell.cell_id), errors[cell.cell_id]
        rows.append(
            [
                context.cell_names.get(cell.cell_id, cell.cell_id),
                str(len(cell.values)),
                f"{middle:.1f} [{low:.1f} to {high:.1f}]",
                *(f"{100 * cell.share(factor * gap):.0f} %" for factor in FACTORS),
                *(f"{100 * peak.share(factor * fosc):.0f} %" if peak else NOTHING for factor in FACTORS),
                f"{100 * error.rates[0]:.0f}–{100 * error.rates[1]:.0f} %",
                f"{format_ends(error.interval)} %",
            ]
        )
    header = (
        *("cell", "trials", "gap in points"),
        *(f"gap ≥ {100 * factor * gap:g}" for factor in FACTORS),
        *(f"FOSC ≥ {factor * fosc:g}" for factor in FACTORS),
        *("other images", f"{100 * context.level:g} %"),
    )
    caption = (
        "Gap: median [quartiles] over trials. Other images: the share with a gap of at least the protocol's, if the "
        "gaps of all trials were smaller or larger by the sampling error of the images; behind it, the interval for "
        "trials and images together. Bands in the pictures: stratified bootstrap, too narrow with few trials."
    )
    return TextTable(header, rows, 1, caption).without_empty_columns()


def _errors(context: ReportContext) -> list[ImageError]:
    ended = [record for record in context.counted if record.verdict]
    return image_errors(ended, context.level, "anytime" if context.other_interval == "anytime" else "blaker")


def _images(context: ReportContext) -> str:
    errors = _errors(context)
    images = sorted({error.images for error in errors})
    shift = max(error.shift for error in errors)
    return (
        f"All trials are attacked on the same {' or '.join(f'{n:,}' for n in images)} test images. With other images, "
        f"all gaps could be larger or smaller by up to {100 * shift:.1f} points together; more seeds do not reduce "
        "this error, more images do (--verdict-images)."
    )
