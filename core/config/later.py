"""Marks of options that do not always count in a cell's id."""

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


@dataclass(frozen=True)
class Located:
    """Marks an option that is the place of a file: ``Annotated[str | None, Located("start_sha256")]``.

    Attributes:
        content: option of the same part with the checksum of the file. If it has a value, the place is left out of the
            cell's id, because the same content may lie elsewhere.
    """

    content: str
