"""Cells arranged in tables over two of their factors: one facet for each combination of the other factors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from analysis.report.formatting import format_value
from core.config import OPTION_OWNER
from core.records import varying_options

PREFERRED = ("beta", "batch_size", "lr", "classes", "dataset", "method", "epsilon")
"""Factors by preference, where several have as many values or change together: those of the paper, then epsilon."""


CONSEQUENT_PARTS = ("method", "attack", "awp")
"""Parts of a cell whose options have other defaults in each method. They are named only where they tell cells apart."""
FIRST_CONSEQUENT = ("attack_steps",)
"""Options of these parts that are rather named than the others."""


class HasFactors(Protocol):
    """Any result about one cell."""

    @property
    def factors(self) -> dict[str, Any]:
        """The values of the options that vary in the sweep."""


@dataclass(frozen=True)
class CellFactors:
    """The factors of one cell, and nothing else."""

    factors: dict[str, Any]


T = TypeVar("T", bound=HasFactors)


@dataclass(frozen=True)
class Facet(Generic[T]):
    """One table: cells by row and column."""

    fixed: dict[str, Any]
    """The values of the other factors; empty if at most two factors vary."""
    row_factor: str | None
    column_factor: str | None
    rows: list[Any]
    columns: list[Any]
    cells: dict[tuple[int, int], T]
    """The cells by the indices of their row and column; a combination that the sweep does not have is missing."""


def facets(cells: Sequence[T]) -> list[Facet[T]]:
    """All cells in tables over the two factors with the most values, in the order of `cells`."""
    if not cells:
        return []
    names = distinct_factors(cells)
    by_levels = sorted(names, key=lambda name: (-len({_key(c.factors[name]) for c in cells}), _preference(name)))
    main = sorted(by_levels[:2], key=_preference)
    row_factor, column_factor = (main[0], main[1]) if len(main) == 2 else (None, main[0] if main else None)
    groups: dict[str, list[T]] = {}
    for cell in cells:
        groups.setdefault(_key([cell.factors[n] for n in names if n not in main]), []).append(cell)
    return [
        _facet(group, {n: group[0].factors[n] for n in names if n not in main}, row_factor, column_factor)
        for group in groups.values()
    ]


def distinct_factors(cells: Sequence[HasFactors]) -> list[str]:
    """Names of the factors that name the cells.

    Left out are factors that divide the cells exactly as another one does (`coupled_factors`), and those that follow
    from the others (`consequent_factors`).
    """
    kept, followers = coupled_factors(cells), consequent_factors(cells)
    return [name for name in (cells[0].factors if cells else ()) if name in kept and name not in followers]


def naming_options(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The `distinct_factors` of cells that are given by all their options; the data set if no option varies."""
    varying = varying_options(cells)
    return distinct_factors([CellFactors({n: cell.get(n) for n in varying}) for cell in cells]) or ["dataset"]


def consequent_factors(cells: Sequence[HasFactors]) -> list[str]:
    """Names of the method's and the attack's factors that follow from the other factors.

    For example, the start of the attack follows from the method in a sweep over methods with their own attacks.
    """
    coupled = coupled_factors(cells)
    names = [name for name in (cells[0].factors if cells else ()) if name in coupled]
    candidates = sorted(filter(_may_follow, names), key=lambda name: name not in FIRST_CONSEQUENT)
    kept = [name for name in names if name not in candidates]
    for name in candidates:
        if _groups(cells, [*kept, name]) > _groups(cells, kept):
            kept.append(name)
    return [factor for name in names if name not in kept for factor in (name, *coupled[name])]


def _may_follow(name: str) -> bool:
    return name not in PREFERRED and OPTION_OWNER.get(name) in CONSEQUENT_PARTS


def _groups(cells: Sequence[HasFactors], names: Sequence[str]) -> int:
    """Number of different combinations of values of these factors."""
    return len({_key([cell.factors[name] for name in names]) for cell in cells})


def coupled_factors(cells: Sequence[HasFactors]) -> dict[str, list[str]]:
    """For each kind of change between the cells one factor that shows it, and the others that change exactly then."""
    names = list(cells[0].factors) if cells else []
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(names, key=_preference):
        groups.setdefault(_partition([_key(cell.factors[name]) for cell in cells]), []).append(name)
    return {first: others for first, *others in groups.values()}


def describe(factors: Mapping[str, Any]) -> str:
    """Factors in words: ``beta 1, batch_size 128``."""
    return ", ".join(f"{name} {format_value(value)}" for name, value in factors.items())


def _facet(cells: Sequence[T], fixed: dict[str, Any], row_factor: str | None, column_factor: str | None) -> Facet[T]:
    rows = _levels(cells, row_factor)
    columns = _levels(cells, column_factor)
    row_of = {_key(value): i for i, value in enumerate(rows)}
    column_of = {_key(value): i for i, value in enumerate(columns)}
    return Facet(
        fixed,
        row_factor,
        column_factor,
        rows,
        columns,
        {(row_of[_level(c, row_factor)], column_of[_level(c, column_factor)]): c for c in cells},
    )


def _levels(cells: Sequence[HasFactors], factor: str | None) -> list[Any]:
    found = {_level(cell, factor): cell.factors[factor] if factor else None for cell in cells}.values()
    return sorted(found, key=lambda v: (0, v, "") if isinstance(v, int | float) else (1, 0, _key(v)))


def _level(cell: HasFactors, factor: str | None) -> str:
    return _key(cell.factors[factor] if factor else None)


def _key(value: Any) -> str:
    return json.dumps(value)


def _preference(name: str) -> tuple[int, str]:
    return (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED), name)


def _partition(keys: Sequence[str]) -> tuple[int, ...]:
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(key, len(numbers)) for key in keys)
