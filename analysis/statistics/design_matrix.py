"""The design matrix of a regression on swept options, with columns on scales that have a meaning in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class DesignColumn:
    """One column of the matrix."""

    factor: str
    contrast: str
    """Meaning of a step of 1: ``per doubling``, ``per standard deviation (0.02)`` or ``cifar100 against cifar10``."""
    values: np.ndarray


@dataclass(frozen=True)
class DesignMatrix:
    """The linearly independent columns, and the factors without one."""

    columns: list[DesignColumn]
    aliased: dict[str, str]
    """Reason why a factor has no column, by the factor: it changes together with other factors in this sweep."""

    @property
    def matrix(self) -> np.ndarray:
        """``[trials, columns]``, without an intercept."""
        return np.column_stack([column.values for column in self.columns])


def design_matrix(cells: Sequence[dict[str, Any]], factors: Sequence[str]) -> DesignMatrix:
    """The columns of `factors`, with one row for each entry of `cells`.

    Positive numbers become log2(value), which makes an effect one per doubling: beta, batch size, learning rate and
    classes are swept on such scales. Other numbers are standardised. All other values become indicators, with the first
    value in sorted order as the reference. A factor whose columns are linear combinations of earlier ones has none.
    """
    kept: list[DesignColumn] = []
    aliased: dict[str, str] = {}
    basis = np.ones((len(cells), 1))
    for factor in factors:
        columns = _columns(factor, [cell.get(factor) for cell in cells])
        grown = np.column_stack([basis, *(column.values for column in columns)])
        if np.linalg.matrix_rank(grown) < grown.shape[1]:
            others = ", ".join(dict.fromkeys(column.factor for column in kept))
            aliased[factor] = f"{factor} cannot be distinguished from {others}: they change together in this sweep"
            continue
        kept, basis = kept + columns, grown
    return DesignMatrix(kept, aliased)


def _columns(factor: str, values: list[Any]) -> list[DesignColumn]:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        numbers = np.array(values, float)
        if (numbers > 0).all():
            return [DesignColumn(factor, "per doubling", np.log2(numbers))]
        spread = numbers.std()
        return [DesignColumn(factor, f"per standard deviation ({spread:.3g})", (numbers - numbers.mean()) / spread)]
    names = [value if isinstance(value, str) else json.dumps(value) for value in values]
    first, *rest = sorted(set(names))
    return [
        DesignColumn(factor, f"{name} against {first}", np.array([float(n == name) for n in names])) for name in rest
    ]
