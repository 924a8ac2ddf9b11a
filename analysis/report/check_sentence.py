"""The answer of a check in one sentence, and what the numbers rest on."""

from __future__ import annotations

from analysis.questions.masking import RULE, masking
from analysis.report.attack_names import attack_name
from core.config.naming import format_number
from core.records import ModelCheck

ANSWERS = {
    "catastrophic": "Its robustness is an illusion (catastrophic overfitting)",
    "masked": "Its robustness is an illusion (gradient masking)",
    "weak-attack": "Its robustness is overestimated by ten steps of PGD",
    "confirmed": "Its robustness is not an illusion by these attacks",
    "none": "It is not robust, and PGD-10 says so",
}


def check_sentence(check: ModelCheck) -> str:
    """The answer with its numbers: two accuracies, their difference with its interval, the images and the radius."""
    found = masking(check)
    ends = f"{_points(found.interval.low)} to {_points(found.interval.high)}"
    steps = f"; {_leaves(check, 'pgd-50x5')}" if found.kind in ("masked", "weak-attack") else ""
    return (
        f"{ANSWERS[found.kind]}: on {check.images} test images of {check.dataset} at radius "
        f"{format_number(check.epsilon)}, {_leaves(check, found.weak)} and {_leaves(check, found.strong)}, a gap of "
        f"{_points(found.gap)} points (95 % interval {ends}){steps}."
    )


def check_notes(check: ModelCheck) -> list[str]:
    """The rule of the answer, and what may invalidate it."""
    found = masking(check)
    notes = [
        f"Rule: an illusion is a gap of {_points(RULE.overestimation_gap)} points or more between PGD-10 and the "
        f"strongest of Square and AutoAttack, or of {_points(RULE.catastrophic_gap)} points between FGSM and PGD-10."
    ]
    if found.kind == "confirmed":
        notes.append("The least accuracy is an upper bound: an attack that is made for this network may find more.")
    if found.undecided:
        notes.append(f"The interval contains {_points(found.threshold)} points: more --images would decide.")
    if check.accuracy("clean") < 2 / check.classes:
        notes.append(
            "Warning: clean accuracy is near chance. The network gets images in [0, 1]; if it expects normalised "
            "images, put the normalisation into the network."
        )
    if not check.repeatable:
        notes.append(
            "Warning: the network answers differently each time. These attacks do not average over its randomness, and "
            "their accuracies are too high."
        )
    if check.zero_gradients > 0.01:
        notes.append(
            f"Warning: at {100 * check.zero_gradients:.0f} % of the images the loss has no gradient in float32. "
            "Gradient attacks and FOSC see nothing there; Square does."
        )
    if not any(m.attack.startswith("autoattack") for m in check.measurements):
        notes.append("AutoAttack was not run.")
    return notes


def _leaves(check: ModelCheck, attack: str) -> str:
    measurement = next(m for m in check.measurements if m.attack == attack)
    return f"{attack_name(measurement.label)} leaves {100 * measurement.accuracy:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")
