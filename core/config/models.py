"""The table of network architectures, one row per architecture or family. It does not import torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

WIDE_RESNET = re.compile(r"wrn-([0-9]{1,3})-([0-9]{1,2})")
"""At most 999 layers and 99 times the width: larger numbers are typing errors, and building them would take hours."""


@dataclass(frozen=True)
class ModelSpec:
    """A row of the table. A new architecture needs a function and a row.

    Attributes:
        name: value of the option ``model``, or the pattern of a family's names.
        builder: ``module:function`` that is called with the family's numbers, the images' shape and the normalisation,
            and returns a network.
        numbers: for a family: returns the numbers in a name of the family, and None for any other name.
        rule: for a family: the allowed numbers, for messages.
    """

    name: str
    builder: str
    numbers: Callable[[str], tuple[int, ...] | None] | None = None
    rule: str = ""


MODELS: dict[str, ModelSpec] = {}


def register_model(spec: ModelSpec) -> None:
    """Add a row to the table.

    Raises:
        ValueError: a model of that name is registered already.
    """
    if spec.name in MODELS:
        raise ValueError(f"model {spec.name} is registered already, with builder {MODELS[spec.name].builder}")
    MODELS[spec.name] = spec


def find_model(name: str) -> tuple[ModelSpec, tuple[int, ...]]:
    """The row of a model's name, and the family's numbers in the name.

    Raises:
        ValueError: no model has that name; the message lists all names.
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
    ModelSpec("resnet34", "core.models.resnet:resnet34"),
    ModelSpec("vgg11", "core.models.vgg:vgg11"),
    ModelSpec("preact-resnet18", "core.models.resnet:preact_resnet18"),
    ModelSpec("wrn-N-K", "core.models.resnet:wide_resnet", _wide_resnet_numbers, "N = 6n + 4 (such as wrn-28-10)"),
):
    register_model(_spec)
