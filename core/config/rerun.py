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
    """The trials of an earlier sweep that are selected by their outcomes and by options of their cells."""

    sweep: SweepName
    where: tuple[Outcome, ...] = Field(("unstable",), min_length=1)
    cells: dict[str, Any] = Field(
        default_factory=dict, description="required values of options; other options may have any value"
    )

    @field_validator("cells")
    @classmethod
    def _known(cls, cells: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(cells.keys() - OPTION_FIELDS.keys()):
            raise ValueError(f"unknown options: {', '.join(unknown)}")
        return cells

    def takes(self, cell: Cell) -> bool:
        """True if the cell has all values in `cells`."""
        flat = cell.flat()
        where = f"cells {self.cells} of sweep {self.sweep}"
        if self.cells.get("method", cell.method.method) != cell.method.method:
            return False
        return all(
            name in flat and Cell.stored({**flat, name: value}, where) == cell for name, value in self.cells.items()
        )


class EarlierCell(NamedTuple):
    """A cell of an earlier sweep, and the seeds of its selected trials."""

    cell: Cell
    seeds: tuple[int, ...]


class EarlierSweep(NamedTuple):
    """The selected trials of an earlier sweep, and its protocol, from which a new sweep is built."""

    trials: EarlierTrials
    protocol: ProtocolOptions
    cells: tuple[EarlierCell, ...]
