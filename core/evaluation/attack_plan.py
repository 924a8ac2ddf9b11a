"""The list of attacks on one checkpoint, made from the options of an evaluation."""

from __future__ import annotations

from core.attacks import build_attack
from core.config import Cell, ProtocolOptions
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.options import EvaluationOptions, Mode

INDIVIDUAL = ("apgd-ce", "apgd-dlr", "fab", "square")
CASCADES = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
}
"""Order of AutoAttack's attacks (pyautoattack 0.2.0, Croce and Hein 2020b)."""
STEPS, QUERIES, TARGETS = 100, 5000, 9
RESTARTS = {"individual": 5, "standard": 1, "plus": 5}
"""Restarts of untargeted attacks by mode; targeted attacks have one restart per target class."""
TRANSFER = "transfer-"
MIN_CLASSES = {"apgd-dlr": 3, "apgd-t": 4, "fab-t": 2}
"""Least number of classes of an attack: the DLR loss uses the third largest logit, its targeted version the fourth."""


def attack_plan(
    options: EvaluationOptions, cell: Cell, protocol: ProtocolOptions, source: str | None = None
) -> tuple[AttackSpec, ...]:
    """The attacks in the order in which they run: clean, PGD, the attacks of the mode, and the further attacks.

    Args:
        options: the options of the evaluation.
        cell: the checkpoint's cell, which has the radius and the number of classes.
        protocol: the sweep's protocol, which has PGD's steps and step size.
        source: SHA-256 of the checkpoint on which transfer attacks are made.

    Raises:
        ValueError: an attack is unknown, is requested twice, or needs more classes.
    """
    epsilon, fraction = cell.attack.epsilon, protocol.eval_step_fraction
    specs = [
        AttackSpec(name="clean", library="unmask", epsilon=epsilon),
        _own("pgd-10", f"pgd-{protocol.eval_steps}", epsilon, fraction),
    ]
    specs += _library_attacks(options, cell.data.classes, epsilon)
    taken = {spec.name for spec in specs}
    for name in dict.fromkeys(options.attacks):
        if name in taken:
            raise ValueError(f"--attacks {name}: already measured with --mode {options.mode}")
        specs.append(_own(name, name, epsilon, fraction, source))
    return tuple(specs)


def _own(name: str, built: str, epsilon: float, fraction: float, source: str | None = None) -> AttackSpec:
    try:
        attack = build_attack(built.removeprefix(TRANSFER), epsilon, fraction)
    except ValueError as error:
        raise ValueError(f"--attacks {name}: {error}; each is also allowed as {TRANSFER}NAME") from error
    return AttackSpec(
        name=name,
        library="unmask",
        epsilon=epsilon,
        steps=getattr(attack, "steps", None),
        restarts=getattr(attack, "restarts", None),
        queries=getattr(attack, "queries", None),
        step_fraction=fraction,
        source=source if name.startswith(TRANSFER) else None,
    )


def _library_attacks(options: EvaluationOptions, classes: int, epsilon: float) -> list[AttackSpec]:
    names = INDIVIDUAL if options.mode == "individual" else CASCADES.get(options.mode, ())
    needed = max((MIN_CLASSES.get(name, 2) for name in names), default=2)
    if classes < needed:
        raise ValueError(f"--mode {options.mode} is impossible with {classes} classes: its DLR loss needs {needed}")
    specs: list[AttackSpec] = []
    for name in names:
        prefix = "" if options.mode == "individual" else f"{options.mode}/"
        specs.append(
            AttackSpec(
                name=prefix + name,
                library="pyautoattack",
                epsilon=epsilon,
                after=tuple(spec.name for spec in specs) if prefix else (),
                **_budget(name, options, classes),
            )
        )
    return specs


def _budget(name: str, options: EvaluationOptions, classes: int) -> dict[str, int]:
    if name == "square":
        return {"queries": options.queries or QUERIES, "restarts": 1}
    steps = options.steps or STEPS
    if name.endswith("-t"):
        return {"steps": steps, "restarts": 1, "targets": min(TARGETS, classes - 1)}
    return {"steps": steps, "restarts": options.restarts or RESTARTS[options.mode]}


def summary_name(mode: Mode) -> str:
    """The key under which the worst case over the attacks of a mode is recorded."""
    return "autoattack" if mode == "individual" else f"autoattack-{mode}"
