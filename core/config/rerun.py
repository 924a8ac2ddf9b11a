"""Trials of an earlier sweep whose seeds another sweep trains again."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import Field, field_validator

from core.config.base import Options
from core.config.cell import OPTION_FIELDS, Cell
from core.config.names import SweepName
from core.config.protocol import ProtocolOptions
from core.records import Outcome


class EarlierTrials(Options):
    """Which trials of which sweep, by how they ended and by options of their cells."""

    sweep: SweepName
    where: tuple[Outcome, ...] = Field(("unstable",), min_length=1)
    cells: dict[str, Any] = Field(default_factory=dict, description="values of options; others may have any")

    @field_validator("cells")
    @classmethod
    def _known(cls, cells: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(cells.keys() - OPTION_FIELDS.keys()):
            raise ValueError(f"unknown options: {', '.join(unknown)}")
        return cells

    def takes(self, cell: Cell) -> bool:
        """Has the cell all values of `cells`?"""
        flat = cell.flat()
        where = f"cells {self.cells} of sweep {self.sweep}"
        if self.cells.get("method", cell.method.method) != cell.method.method:
            return False
        return all(
            name in flat and Cell.stored({**flat, name: value}, where) == cell for name, value in self.cells.items()
        )


class EarlierCell(NamedTuple):
    """A cell of an earlier sweep and the seeds whose trials ended as asked."""

    cell: Cell
    seeds: tuple[int, ...]


class EarlierSweep(NamedTuple):
    """What is left of an earlier sweep for another one to begin with."""

    trials: EarlierTrials
    protocol: ProtocolOptions
    cells: tuple[EarlierCell, ...]
