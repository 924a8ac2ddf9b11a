"""The published tables of ISEAT (Li and Spratling 2025) and SEAT (Li and Yu 2022), from `robustness_tables.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from analysis.paper.tables import Published

USED = "used"
"""Option value that stands for any value but none or 0."""
OFF: dict[str, Any] = {
    "awp_radius": 0.0,
    "rwp_radius": 0.0,
    "extra_data": None,
    "weight_averaging": "none",
    "start_from": None,
}
"""Options that a row names if it uses them."""
TRAINING = frozenset({"epochs", "lr", "milestones", "attack_steps"})
"""Options of rows that do not tell settings apart, because a shorter training is still a try of the same setting."""


@dataclass(frozen=True)
class PublishedRow:
    """Published numbers of one setting at one checkpoint."""

    paper: str
    table: str
    name: str
    options: dict[str, Any]
    """All options of the row that the paper states."""
    own: frozenset[str]
    """Names of the options that tell this setting from others of its paper."""
    runs: int | None
    """Number of runs; None if the paper gives none."""
    quoted: bool
    """Whether the paper copied the row from elsewhere, with a set-up that it does not give."""
    checkpoint: Literal["selected", "last"]
    values: dict[str, Published]
    """By attack, ``MEASURE/VALUE``, or ``robust-overfitting`` (AutoAttack accuracy, best minus end)."""


@dataclass(frozen=True)
class PublishedPaper:
    """Facts about a paper that all of its rows share."""

    name: str
    source: str
    selection: str
    """How the paper selects its best checkpoint."""
    selects_on_test: bool
    conflicts: tuple[str, ...]
    """What contradicts itself in the paper."""


@lru_cache(maxsize=1)
def _content() -> list[dict[str, Any]]:
    return yaml.safe_load((Path(__file__).parent / "robustness_tables.yaml").read_text())["papers"]


def published_papers() -> dict[str, PublishedPaper]:
    """The papers by name."""
    return {
        paper["paper"]: PublishedPaper(
            paper["paper"], paper["source"], paper["selection"], paper["selects_on_test"], tuple(paper["conflicts"])
        )
        for paper in _content()
    }


def published_rows() -> list[PublishedRow]:
    """All rows of methods that have a name in this project, one for each checkpoint."""
    return [row for paper in _content() for table in paper["tables"] for row in _rows(paper, table)]


def _rows(paper: dict[str, Any], table: dict[str, Any]) -> Iterator[PublishedRow]:
    for row in table["rows"]:
        named = paper["common"].keys() & {"dataset", "model"}
        stated = {**{name: paper["common"][name] for name in named}, **table["options"], **row["options"]}
        if "method" not in stated:
            continue
        svhn = paper.get("svhn", {}) if stated["dataset"] == "svhn" else {}
        if stated["method"] == "iseat":  # its radius is stated for each data set, and may be 0 in a row
            stated = {"awp_radius": USED, **stated}
        for checkpoint in ("selected", "last"):
            if checkpoint in row:
                options = {**paper["common"], **svhn, **OFF, **stated}
                yield PublishedRow(
                    paper=paper["paper"],
                    table=table["table"],
                    name=row["row"],
                    options=options,
                    own=frozenset({*stated, *OFF, "augment"} & options.keys()) - TRAINING,
                    runs=paper["runs"],
                    quoted=row.get("quoted", False),
                    checkpoint=checkpoint,
                    values={name: _published(value) for name, value in row[checkpoint].items()},
                )


def _published(value: float | list[float]) -> Published:
    return Published(*value) if isinstance(value, list) else Published(value, None)
