"""Names of cells and trials by the options that tell them apart, such as ``beta=1 batch_size=16 seed=0``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.records.options import varying_options
from core.records.record import TrialRecord

PREFERRED = ("beta", "batch_size", "lr", "classes", "dataset", "method", "epsilon", "model")
"""Factors by preference, where several have as many values or change together: those of the paper, then others."""
FIRST_CONSEQUENT = ("attack_steps",)
"""Options that are rather named than the others, where one of them follows from the others."""


class TrialNames:
    """Names of the trials of a sweep.

    Args:
        cells: all options of each cell of the sweep, flat.
    """

    def __init__(self, cells: Iterable[Mapping[str, Any]]) -> None:
        self.options = naming_options(list(cells))

    def __call__(self, cell: Mapping[str, Any], seed: int, pins: Mapping[str, int] | None = None) -> str:
        """The name of one trial: ``beta=1 batch_size=16 seed=3``, or ``seed=3 init=7`` with a pinned stream."""
        return describe({**self.varying(cell), "seed": seed, **(pins or {})})

    def of(self, record: TrialRecord) -> str:
        """The name of the trial of a record."""
        return self(record.cell, record.seed, record.pins)

    def varying(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """The options that tell this cell from the others of the sweep."""
        return {name: cell.get(name) for name in self.options}


def describe(factors: Mapping[str, Any]) -> str:
    """Values of options as a name: ``beta=1 batch_size=128``. An option that the cell does not have is left out."""
    return " ".join(f"{name}={format_value(value, ',')}" for name, value in factors.items() if value is not None)


def setting_name(cell: Mapping[str, Any]) -> str:
    """The name of a cell in a sweep whose options do not vary, such as ``trades on digits``.

    A simulated cell has neither a method nor a data set; its name is ``all``.
    """
    return " on ".join(str(cell[name]) for name in ("method", "dataset") if name in cell) or "all"


def format_value(value: Any, separator: str = " ") -> str:
    """The value of an option: numbers as in `format_number`, booleans as yes and no, lists without brackets."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, list | tuple):
        return separator.join(format_value(v, separator) for v in value) or format_value(None)
    return str(value)


def format_number(value: float) -> str:
    """The number with four digits, or as the grey levels that it stands for, as papers write a radius: ``8/255``."""
    short = f"{value:.4g}"
    levels = round(255 * value)
    if float(short) == value or levels % 17 == 0 or not math.isclose(255 * value, levels, rel_tol=1e-12):
        return short  # multiples of 17 are thirds, fifths and fifteenths
    return f"{levels}/255"


def naming_options(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The `distinct_factors` of cells that are given by all their options; none if no option varies."""
    varying = varying_options(cells)
    return distinct_factors([{name: cell.get(name) for name in varying} for cell in cells])


def distinct_factors(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the factors that name the cells, each of which is given by its values of all factors.

    Left out are factors that divide the cells exactly as another one does (`coupled_factors`), and those that follow
    from the others (`consequent_factors`).
    """
    kept, followers = coupled_factors(cells), consequent_factors(cells)
    return [name for name in (cells[0] if cells else ()) if name in kept and name not in followers]


def consequent_factors(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the factors that follow from the others, besides the preferred ones.

    For example, the start of the attack follows from the method in a sweep over methods with their own attacks.
    """
    coupled = coupled_factors(cells)
    names = [name for name in (cells[0] if cells else ()) if name in coupled]
    candidates = sorted(set(names) - set(PREFERRED), key=lambda name: (name not in FIRST_CONSEQUENT, names.index(name)))
    kept = [name for name in names if name not in candidates]
    for name in candidates:
        if _groups(cells, [*kept, name]) > _groups(cells, kept):
            kept.append(name)
    return [factor for name in names if name not in kept for factor in (name, *coupled[name])]


def coupled_factors(cells: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """For each kind of change between the cells one factor that shows it, and the others that change exactly then."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(cells[0] if cells else (), key=preference):
        groups.setdefault(_partition([json.dumps(cell[name]) for cell in cells]), []).append(name)
    return {first: others for first, *others in groups.values()}


def preference(name: str) -> tuple[int, str]:
    """Key by which names of factors are sorted, the most telling first."""
    return (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED), name)


def _groups(cells: Sequence[Mapping[str, Any]], names: Sequence[str]) -> int:
    """Number of different combinations of values of these factors."""
    return len({json.dumps([cell[name] for name in names]) for cell in cells})


def _partition(keys: Sequence[str]) -> tuple[int, ...]:
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(key, len(numbers)) for key in keys)
