"""Cells arranged in tables over two of their factors: one facet for each combination of the other factors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import prod
from typing import Any, Generic, Protocol, TypeVar

from core.config import naming
from core.config.naming import preference


class HasFactors(Protocol):
    """Any result about one cell."""

    @property
    def factors(self) -> dict[str, Any]:
        """The values of the options that vary in the sweep."""


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
    """All cells in tables over two factors, in the order of `cells`.

    The two factors are those whose tables have the fewest empty fields, and then those with the most values.
    """
    if not cells:
        return []
    names = distinct_factors(cells)
    by_levels = sorted(names, key=lambda name: (-len({_key(c.factors[name]) for c in cells}), preference(name)))
    main = sorted(
        min(combinations(by_levels, 2), key=partial(_empty_fields, cells, names), default=names), key=preference
    )
    row_factor, column_factor = (main[0], main[1]) if len(main) == 2 else (None, main[0] if main else None)
    groups: dict[str, list[T]] = {}
    for cell in cells:
        groups.setdefault(_key([cell.factors[n] for n in names if n not in main]), []).append(cell)
    return [
        _facet(group, {n: group[0].factors[n] for n in names if n not in main}, row_factor, column_factor)
        for group in groups.values()
    ]


def _empty_fields(cells: Sequence[HasFactors], names: Sequence[str], main: Sequence[str]) -> int:
    """Number of fields without a cell, if tables have these two factors as rows and columns."""
    groups: dict[str, list[HasFactors]] = {}
    for cell in cells:
        groups.setdefault(_key([cell.factors[name] for name in names if name not in main]), []).append(cell)
    sizes = (prod(len({_level(cell, name) for cell in group}) for name in main) for group in groups.values())
    return sum(sizes) - len(cells)


def distinct_factors(cells: Sequence[HasFactors]) -> list[str]:
    """Names of the factors that name the cells."""
    return naming.distinct_factors([cell.factors for cell in cells])


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
