"""Rows of metrics that are kept as columns of floats, which need a tenth of the memory of dictionaries."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import nan
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    import numpy as np

Row = dict[str, float | None]
"""Metrics of one epoch or step by name; None for a metric that is not finite."""


class _Block(NamedTuple):
    """Successive rows with the same metrics in the same order."""

    names: tuple[str, ...]
    rows: int
    start: int
    """Index of the first row's first value."""


class Rows(Sequence[Row]):
    """Rows that cannot be changed. A row is made as a dictionary when it is asked for; None and NaN are the same."""

    __slots__ = ("_blocks", "_values")

    def __init__(self, rows: Iterable[Mapping[str, float | None]] = ()) -> None:
        values: list[float] = []
        self._blocks: tuple[_Block, ...] = ()
        for names, block in groupby(rows, tuple):
            start, count = len(values), 0
            for row in block:
                found = row.values()
                if None in found:
                    values.extend([nan if value is None else value for value in found])
                else:
                    values.extend(cast("Iterable[float]", found))
                count += 1
            self._blocks += (_Block(tuple(map(intern, names)), count, start),)
        # an array of a known size takes no more than it needs, and leaves no holes where it has grown
        self._values = array("d", values)

    def column(self, name: str) -> np.ndarray:
        """The values of a metric in all rows, NaN where a row lacks it or its value is not finite."""
        import numpy as np  # most readers of records need no column

        values, first = np.frombuffer(self._values), 0
        if len(self._blocks) == 1 and name in (names := self._blocks[0].names):
            return values[names.index(name) :: len(names)].copy()
        found = np.full(len(self), np.nan)
        for names, rows, start in self._blocks:
            if name in names:
                width = len(names)
                found[first : first + rows] = values[start + names.index(name) : start + rows * width : width]
            first += rows
        return found

    def last_values(self) -> Row:
        """The value of each metric in the last row that has it."""
        found: Row = {}
        for names, rows, start in self._blocks:
            end = start + rows * len(names)
            found |= _row(names, self._values[end - len(names) : end])
        return found

    def measured(self, name: str) -> int:
        """Number of rows that have the metric, finite or not."""
        return sum(rows for names, rows, _ in self._blocks if name in names)

    def __len__(self) -> int:
        return sum(rows for _, rows, _ in self._blocks)

    def __iter__(self) -> Iterator[Row]:
        for names, rows, start in self._blocks:
            for first in range(start, start + rows * len(names), len(names)) if names else [start] * rows:
                yield _row(names, self._values[first : first + len(names)])

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"Rows({list(self)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        rows = handler(list[Row])
        made = core_schema.no_info_after_validator_function(cls, rows)
        return core_schema.json_or_python_schema(
            json_schema=made,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), made]),
            serialization=core_schema.plain_serializer_function_ser_schema(list, return_schema=rows),
        )


def _row(names: tuple[str, ...], values: Sequence[float]) -> Row:
    return {name: None if value != value else value for name, value in zip(names, values, strict=True)}
