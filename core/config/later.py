"""Options that came to a cell after sweeps had been run without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AddedLater:
    """Mark of an option that earlier versions did not have: ``Annotated[bool, AddedLater(False)]``.

    Attributes:
        value: the value at which a trial is the one of an earlier version, up to rounding. At this value the option
            does not count in a cell's id, and sweeps from before are continued.
    """

    value: Any
