"""The TRADES instability paper's Tables 1 to 7, from `tables.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from core.records import CheckpointName


@dataclass(frozen=True)
class PaperCell:
    """A published count of unstable trials."""

    table: int
    options: dict[str, Any]
    """All options of the cell that the paper states."""
    k: int
    """Number of unstable trials."""
    n: int


@dataclass(frozen=True)
class Published:
    """A published accuracy in [0, 1], or a difference of two."""

    mean: float
    deviation: float | None
    """Standard deviation over trials; None for a single trial."""


@dataclass(frozen=True)
class PaperRow:
    """Published accuracies of some trials of one setting."""

    table: int
    name: str
    """The paper's name of the row: ``Regular``, ``Fixed``, ..."""
    trials: Literal["regular", "unstable", "all"]
    """The trials of the setting that the row has, by the paper's rule for unstable ones."""
    checkpoint: CheckpointName
    options: dict[str, Any]
    """All options of the row that the paper states."""
    n: int | None
    """Number of trials; None if the paper gives none."""
    n_printed: bool
    """Whether the paper prints `n` in this row; otherwise `n` is the number of trials of this setting in Table 2."""
    values: dict[str, Published]
    """Published values by attack, or ``gap``: PGD-10 minus AutoAttack."""


@lru_cache(maxsize=1)
def paper_tables() -> dict[str, Any]:
    """The content of the file."""
    return yaml.safe_load((Path(__file__).parent / "tables.yaml").read_text())


def paper_cells(*, repeated: bool = False) -> list[PaperCell]:
    """The published counts with their whole set-up, or those that repeat an entry of another table."""
    own = {"k", "n", "repeats"}
    return [
        PaperCell(table["table"], options | {name: cell[name] for name in cell.keys() - own}, cell["k"], cell["n"])
        for table, options in _tables()
        for cell in table.get("cells", ())
        if ("repeats" in cell) == repeated
    ]


def paper_rows(*, repeated: bool = False) -> list[PaperRow]:
    """The published accuracies with their whole set-up, or those that repeat an entry of another table."""
    return [
        PaperRow(
            table=table["table"],
            name=row["row"],
            trials=row["trials"],
            checkpoint=row.get("checkpoint", "selected"),
            options=options | row.get("options", {}),
            n=row.get("n", row.get("n_of_table_2")),
            n_printed="n" in row,
            values={name: _published(value) for name, value in row["accuracies"].items()},
        )
        for table, options in _tables()
        for row in table.get("rows", ())
        if ("repeats" in row) == repeated
    ]


def _tables() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each table with the set-up that all its entries share."""
    content = paper_tables()
    for table in content["tables"]:
        yield table, content["common"] | table["options"]


def _published(value: float | list[float]) -> Published:
    return Published(*value) if isinstance(value, list) else Published(value, None)
