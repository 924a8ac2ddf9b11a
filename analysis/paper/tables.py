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
    """A published count."""

    table: int
    options: dict[str, Any]
    """Everything that the paper says about the cell's set-up."""
    k: int
    """Unstable trials."""
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
    """As the paper calls it: ``Regular``, ``Fixed``, ..."""
    trials: Literal["regular", "unstable", "all"]
    """Which trials of the setting, by the paper's rule for unstable ones."""
    checkpoint: CheckpointName
    options: dict[str, Any]
    """Everything that the paper says about the row's set-up."""
    n: int | None
    """Number of trials; None where the paper gives none."""
    n_printed: bool
    """False where `n` is only what Table 2 has of this setting."""
    values: dict[str, Published]
    """By attack, or ``gap``: PGD-10 minus AutoAttack."""


@lru_cache(maxsize=1)
def paper_tables() -> dict[str, Any]:
    """All that is in the file."""
    return yaml.safe_load((Path(__file__).parent / "tables.yaml").read_text())


def paper_cells(*, repeated: bool = False) -> list[PaperCell]:
    """The published counts with their whole set-up; or those that only repeat another table's."""
    own = {"k", "n", "repeats"}
    return [
        PaperCell(table["table"], options | {name: cell[name] for name in cell.keys() - own}, cell["k"], cell["n"])
        for table, options in _tables()
        for cell in table.get("cells", ())
        if ("repeats" in cell) == repeated
    ]


def paper_rows(*, repeated: bool = False) -> list[PaperRow]:
    """The published accuracies with their whole set-up; or those that only repeat another table's."""
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
    """Each table and the set-up that all of it shares."""
    content = paper_tables()
    for table in content["tables"]:
        yield table, content["common"] | table["options"]


def _published(value: float | list[float]) -> Published:
    return Published(*value) if isinstance(value, list) else Published(value, None)
