"""Sections on the measures of ISEAT and SEAT, each with the number of its counterpart there."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from analysis.questions.measures import measured_kinds
from analysis.questions.rates import group_by_cell, outcome, trial_names
from analysis.report.context import ReportContext
from analysis.report.figures.measures import (
    MIN_IMAGES_PER_BIN,
    Found,
    array,
    distribution,
    plane,
    reliability,
    weight_curves,
    with_measure,
)
from analysis.report.sections.base import Picture, Section, picture
from analysis.report.tables.measure_table import TITLES, measure_table
from analysis.report.tables.text_table import TextTable
from core.records import CheckpointName, TrialRecord

VULNERABILITY = ("adversarial-vulnerability", "margin")
SMOOTHNESS = ("linearity-error", "lipschitz", "boundary-distortion")
NEAREST = ("minimal-deepfool", "minimal-cw")
LANDSCAPES = ("weight-landscape", "weight-landscape-2d", "input-landscape")
BETWEEN_CELLS = (
    "No cell has trials of several outcomes. What differs between outcomes here also differs between cells, and may "
    "come from their options."
)
"""Note of a section whose outcomes cannot be compared within a cell."""


def vulnerability_sections(context: ReportContext) -> list[Section]:
    """One section: the distribution of vulnerability and of margins over images, stable against unstable trials."""
    text = (
        "Adversarial vulnerability is the loss that an attack adds to an image: l(x + δ) − l(x) (ISEAT, eq. 3). The "
        "margin is the l2 length along the attack's direction at which the prediction first changes (eq. 6). Shares of "
        "images within ε have a margin of at most the attack's own length."
    )
    return _section(context, VULNERABILITY, "vulnerability", "Vulnerability and margins", text)


def smoothness_sections(context: ReportContext) -> list[Section]:
    """One section: linearity error, Lipschitz constants and boundary distortion of checkpoints."""
    text = (
        "The linearity error is |l(x + d) − l(x) − ⟨d, ∇l(x)⟩| along the step of FGSM (SEAT, eq. 4). The local "
        "Lipschitz constant is ‖f(x) − f(x')‖₁ / ‖x − x'‖∞, the smallest and the largest that a search in the ball "
        "finds (eq. 10). A boundary is distorted at an image that resists the whole step of FGSM and not a part of it "
        "(Figure 5)."
    )
    return _section(context, SMOOTHNESS, "smoothness", "Smoothness", text)


def landscape_sections(context: ReportContext) -> list[Section]:
    """One section: the loss around the weights and around the images."""
    text = (
        "Weight landscapes: mean loss under an attack that is computed again at each point, along random directions "
        "with the norms of the network's filters (Li et al. 2018; SEAT, Figures 3 and 4). "
        "Input landscapes: mean loss along the attack and along a random direction, both of l2 length 1 "
        "(ISEAT, eq. 8 and Figure 4; SEAT, Figure 2)."
    )
    return _section(context, LANDSCAPES, "weights-and-images", "Loss around weights and images", text)


def nearest_sections(context: ReportContext) -> list[Section]:
    """One section: distance to the nearest misclassified image that attacks without a radius find."""
    text = (
        "The attacks have no radius and search the nearest misclassified image in l2. The norm is over images that "
        "are classified correctly without an attack and that the attack fools."
    )
    return _section(context, NEAREST, "nearest", "Attacks of least norm", text)


def calibration_sections(context: ReportContext) -> list[Section]:
    """One section: confidence against accuracy, with and without attack."""
    text = (
        "ECE is the expected calibration error in 15 bins (Guo et al. 2017); overconfidence is mean confidence minus "
        "accuracy. The area of a marker grows with its share of the images; bins with fewer than "
        f"{MIN_IMAGES_PER_BIN} images are not drawn."
    )
    return _section(context, ("calibration",), "calibration", "Confidence under attack", text)


def _section(context: ReportContext, measures: Sequence[str], anchor: str, title: str, text: str) -> list[Section]:
    kinds = [kind for kind in measured_kinds(context.counted) if kind[1] in measures]
    kinds.sort(key=lambda kind: measures.index(kind[1]))
    if not kinds:
        return []
    pictures: list[Picture] = []
    tables: list[TextTable] = []
    for checkpoint, measure in kinds:
        found = with_measure(context.counted, checkpoint, measure)
        pictures += _pictures(context, found, checkpoint, measure)
        tables.append(measure_table(context.counted, checkpoint, measure))
    measured = [record for record in context.counted if any(m.measure in measures for m in record.measures)]
    return [Section(anchor, title, text, pictures, tables, "" if _within_a_cell(measured) else BETWEEN_CELLS)]


def _within_a_cell(records: Sequence[TrialRecord]) -> bool:
    """Whether some cell has trials of several outcomes, or all trials have one outcome."""
    cells = [{outcome(record) for record in group} for group in group_by_cell(records).values()]
    return len(set().union(*cells)) == 1 or any(len(kinds) > 1 for kinds in cells)


def _pictures(
    context: ReportContext, found: Sequence[Found], checkpoint: CheckpointName, measure: str
) -> list[Picture]:
    title = f"{TITLES[measure]}, {checkpoint}"
    match measure:
        case "adversarial-vulnerability":
            drawn = distribution(found, title, "l(x + δ) − l(x)", lines=[(0, ""), (1, "")])
            caption = "Dashed: 0 and 1, as in the table. Counterpart: Figure 1(a) and Table 1 of ISEAT."
            return [picture(drawn, f"{title}: share of images", caption)]
        case "margin":
            drawn = distribution(found, title, "margin (l2)", lines=_attack_lengths(found), log=True)
            return [picture(drawn, f"{title}: share of images", "Counterpart: Figure 1(b) of ISEAT.")]
        case "linearity-error":
            drawn = distribution(found, title, "linearity error")
            return [picture(drawn, f"{title}: share of images", "Counterpart: Figures 1 and C.2 of SEAT, one epoch.")]
        case "lipschitz":
            drawn = distribution(found, f"{title}, upper bound", "‖f(x) − f(x')‖₁ / ‖x − x'‖∞", "upper_percentiles")
            return [picture(drawn, f"{title}: share of images", "Counterpart: Tables 3 and E.1 of SEAT.")]
        case "minimal-deepfool" | "minimal-cw":
            shown = [(record, m) for record, m in found if m.arrays]
            drawn = distribution(shown, title, "l2 norm")
            return [picture(drawn, f"{title}: share of images", "Counterpart: Table D.2 of SEAT.")]
        case "calibration":
            return [
                picture(reliability(found, kind, f"{title}, {kind}"), f"Accuracy over confidence, {kind}")
                for kind in ("clean", "attacked")
            ]
        case "weight-landscape":
            drawn = weight_curves(found, title)
            return [picture(drawn, f"{title}: loss over offset", "Counterpart: Figure 3 of SEAT.")]
        case "weight-landscape-2d" | "input-landscape":
            return _planes(context, found, measure, title)
    return []


def _attack_lengths(found: Sequence[Found]) -> list[tuple[float, str]]:
    """The mean l2 length of the attack by its radius."""
    by_radius: dict[float, list[float]] = {}
    for _, measured in found:
        if (length := measured.values["attack_length"]) is not None:
            by_radius.setdefault(measured.epsilon, []).append(length)
    return [(fmean(lengths), f"attack, ε {radius:.3g}") for radius, lengths in sorted(by_radius.items())]


def _planes(context: ReportContext, found: Sequence[Found], measure: str, title: str) -> list[Picture]:
    """The first trial of each outcome: a plane has no room for several trials."""
    names = trial_names(context.records)
    kinds = dict.fromkeys(outcome(record) for record, _ in found)
    first = {kind: next(entry for entry in found if outcome(entry[0]) == kind) for kind in kinds}
    weights = measure == "weight-landscape-2d"
    axes = ("first direction", "second direction") if weights else ("along the attack (l2)", "random direction (l2)")
    counterpart = "Figure 4 of SEAT" if weights else "Figure 4 of ISEAT and Figure 2 of SEAT, which show single images"
    shown = {kind: entry for kind, entry in first.items() if np.isfinite(array(entry[1], "loss")).all()}
    losses = [array(measured, "loss") for _, measured in shown.values()]
    pictures = []
    for kind, (record, measured) in shown.items():
        ends = float(np.min(losses)), float(np.max(losses))
        drawn = plane(measured, f"{title}: {kind}", axes, ends)
        caption = f"{kind.capitalize()}: {names.of(record)}. Counterpart: {counterpart}."
        pictures.append(picture(drawn, f"{title} of a trial that is {kind}", caption))
    return pictures
