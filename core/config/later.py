"""Options of a cell that were added after sweeps had been run without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AddedLater:
    """Marks an option that earlier versions did not have: ``Annotated[bool, AddedLater(False)]``.

    Attributes:
        value: the value that gives the trials of earlier versions, up to rounding. With this value the option is left
            out of the cell's id, so that earlier sweeps can be continued.
    """

    value: Any
