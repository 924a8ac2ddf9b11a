"""The table of network architectures: a row for each, or for each family of them. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

WIDE_RESNET = re.compile(r"wrn-([0-9]{1,3})-([0-9]{1,2})")
"""At most 999 layers and 99 times the width: a larger number is a typing error, and would take hours to build."""


@dataclass(frozen=True)
class ModelSpec:
    """A row of the table: adding a model is one function and one row.

    Attributes:
        name: value of the option ``model``, or how the names of a family are made.
        builder: ``module:function`` that is called with the family's numbers, the images' shape and the normalisation,
            and returns a network.
        numbers: of a family: the numbers in a name that belongs to it, None for any other name.
        rule: of a family: which numbers are allowed, for messages.
    """

    name: str
    builder: str
    numbers: Callable[[str], tuple[int, ...] | None] | None = None
    rule: str = ""


MODELS: dict[str, ModelSpec] = {}


def register_model(spec: ModelSpec) -> None:
    """Add a row.

    Raises:
        ValueError: there is a model of that name.
    """
    if spec.name in MODELS:
        raise ValueError(f"model {spec.name} is registered already, with builder {MODELS[spec.name].builder}")
    MODELS[spec.name] = spec


def find_model(name: str) -> tuple[ModelSpec, tuple[int, ...]]:
    """The row that a model's name belongs to, and the family's numbers in it.

    Raises:
        ValueError: there is no such model; the message lists them.
    """
    for spec in MODELS.values():
        numbers = spec.numbers(name) if spec.numbers else () if name == spec.name else None
        if numbers is not None:
            return spec, numbers
    allowed = [f"{spec.name} with {spec.rule}" if spec.rule else spec.name for spec in MODELS.values()]
    raise ValueError(f"must be one of {', '.join(allowed)}")


def _wide_resnet_numbers(name: str) -> tuple[int, ...] | None:
    match = WIDE_RESNET.fullmatch(name)
    if match is None:
        return None
    depth, factor = int(match[1]), int(match[2])
    return (depth, factor) if depth > 4 and (depth - 4) % 6 == 0 and factor >= 1 else None


for _spec in (
    ModelSpec("small-cnn", "core.models.small_cnn:SmallCnn"),
    ModelSpec("resnet18", "core.models.resnet:resnet18"),
    ModelSpec("preact-resnet18", "core.models.resnet:preact_resnet18"),
    ModelSpec("wrn-N-K", "core.models.resnet:wide_resnet", _wide_resnet_numbers, "N = 6n + 4 (such as wrn-28-10)"),
):
    register_model(_spec)
