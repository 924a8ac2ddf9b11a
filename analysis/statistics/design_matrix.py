"""Swept options as columns of a regression, scaled so that a coefficient can be said in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Column:
    """One column: what a step of 1 in it means."""

    factor: str
    contrast: str
    """``per doubling``, ``per standard deviation (0.02)``, or ``cifar100 against cifar10``."""
    values: np.ndarray


@dataclass(frozen=True)
class Design:
    """Columns that can be told apart, and the factors that can't."""

    columns: list[Column]
    aliased: dict[str, str]
    """Factor left out -> why: it moves together with others in this sweep."""

    @property
    def matrix(self) -> np.ndarray:
        """Trials x columns, without an intercept."""
        return np.column_stack([column.values for column in self.columns])


def design(cells: Sequence[dict[str, Any]], factors: Sequence[str]) -> Design:
    """Columns for `factors`, one row per entry of `cells`.

    Positive numbers become log2(value), so that an effect is per doubling: beta, batch size, learning rate and classes
    are swept on such scales. Other numbers are standardised; everything else becomes indicators against its first value
    in sorted order. A factor whose columns are linear combinations of earlier ones is left out and named.
    """
    kept: list[Column] = []
    aliased: dict[str, str] = {}
    basis = np.ones((len(cells), 1))
    for factor in factors:
        columns = _columns(factor, [cell.get(factor) for cell in cells])
        grown = np.column_stack([basis, *(column.values for column in columns)])
        if np.linalg.matrix_rank(grown) < grown.shape[1]:
            others = ", ".join(dict.fromkeys(column.factor for column in kept))
            aliased[factor] = f"{factor} can't be told apart from {others}: they change together in this sweep"
            continue
        kept, basis = kept + columns, grown
    return Design(kept, aliased)


def _columns(factor: str, values: list[Any]) -> list[Column]:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = np.array(values, float)
        if (numbers > 0).all():
            return [Column(factor, "per doubling", np.log2(numbers))]
        spread = numbers.std()
        return [Column(factor, f"per standard deviation ({spread:.3g})", (numbers - numbers.mean()) / spread)]
    names = [value if isinstance(value, str) else json.dumps(value) for value in values]
    first, *rest = sorted(set(names))
    return [Column(factor, f"{name} against {first}", np.array([float(n == name) for n in names])) for name in rest]
