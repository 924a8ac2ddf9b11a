"""Names of attacks in tables and sentences, from the labels of what was measured."""

from __future__ import annotations

import re

NAMES = {
    "clean": "Clean",
    "fgsm": "FGSM",
    "apgd-ce": "APGD-CE",
    "apgd-dlr": "APGD-DLR",
    "fab": "FAB",
    "square-autoattack": "AutoAttack's Square",
    "autoattack": "AutoAttack",
    "autoattack-standard": "AutoAttack standard",
    "autoattack-plus": "AutoAttack plus",
}
PGD = re.compile(r"pgd(?=-\d)")
SQUARE_QUERIES = re.compile(r"(?<=square)-\d+|(?<=square-autoattack)-\d+")


def short_label(label: str) -> str:
    """The label for a narrow column: ``pgd-20`` stays, ``square-1000`` becomes ``square``."""
    return SQUARE_QUERIES.sub("", label)


def attack_name(label: str) -> str:
    """The name of an attack in a sentence or a wide column: ``PGD-20``, ``Square``, ``APGD-CE``."""
    short = short_label(label)
    return NAMES.get(short) or PGD.sub("PGD", short).replace("square", "Square")
