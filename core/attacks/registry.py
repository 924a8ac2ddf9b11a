"""Evaluation attacks by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from core.attacks.autoattack_square import AutoAttackSquare
from core.attacks.base import Attack
from core.attacks.deepfool import DeepFool
from core.attacks.momentum import MiFgsm
from core.attacks.pgd import Pgd
from core.attacks.square import Square

PGD = re.compile(r"pgd-([1-9]\d*)(?:x([1-9]\d*))?")
TARGETED = re.compile(r"pgd-targeted-(random|least-likely)-([1-9]\d*)")

_BUILDERS: dict[str, Callable[[float, float, int], Attack]] = {
    "fgsm": lambda epsilon, step, queries: Pgd(epsilon=epsilon, step_size=epsilon, steps=1, start="none"),
    "mi-fgsm": lambda epsilon, step, queries: MiFgsm(epsilon=epsilon),
    "pgd-targeted-random": lambda epsilon, step, queries: Pgd(
        epsilon=epsilon, step_size=step, steps=20, start="uniform", target="random"
    ),
    "pgd-targeted-least-likely": lambda epsilon, step, queries: Pgd(
        epsilon=epsilon, step_size=step, steps=20, start="uniform", target="least-likely"
    ),
    # l-infinity C&W in the form of papers on adversarial training: 30 PGD steps on the margin (MART, Wang et al. 2020).
    "cw": lambda epsilon, step, queries: Pgd(epsilon=epsilon, step_size=step, steps=30, start="uniform", loss="margin"),
    "deepfool": lambda epsilon, step, queries: DeepFool(epsilon=epsilon),
    "square": lambda epsilon, step, queries: Square(epsilon=epsilon, queries=queries),
    "square-autoattack": lambda epsilon, step, queries: AutoAttackSquare(epsilon=epsilon, queries=queries),
}

ATTACKS = (*_BUILDERS, "pgd-STEPS", "pgd-STEPSxRESTARTS", "pgd-targeted-TARGET-STEPS")
"""Names that `build_attack` accepts; STEPS and RESTARTS stand for positive integers, TARGET for ``random`` or
``least-likely``. Without STEPS a targeted PGD has 20."""


def build_attack(name: str, epsilon: float, step_fraction: float = 0.25, queries: int = 1000) -> Attack:
    """An l-infinity attack of radius ``epsilon``.

    Args:
        name: one of `ATTACKS`, such as ``pgd-10`` or ``pgd-50x5`` (50 steps, 5 uniform starts).
        epsilon: radius on the scale of the images ([0, 1]).
        step_fraction: step size as a fraction of ``epsilon``; FGSM, MI-FGSM and DeepFool do not use it.
        queries: largest number of model evaluations per image; only Square uses it.

    Raises:
        ValueError: the name is unknown.
    """
    step = epsilon * step_fraction
    if match := PGD.fullmatch(name):
        restarts = int(match[2] or 1)
        return Pgd(epsilon=epsilon, step_size=step, steps=int(match[1]), start="uniform", restarts=restarts)
    if match := TARGETED.fullmatch(name):
        target: Literal["random", "least-likely"] = "random" if match[1] == "random" else "least-likely"
        return Pgd(epsilon=epsilon, step_size=step, steps=int(match[2]), start="uniform", target=target)
    if name not in _BUILDERS:
        raise ValueError(f"attack {name!r} is unknown; allowed: {', '.join(ATTACKS)}")
    return _BUILDERS[name](epsilon, step, queries)
