"""A cell is one setting; a trial is one cell trained with one seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from core.config.base import Options, first_problem
from core.config.data import DataOptions
from core.config.method import AwpOptions, HealOptions, InnerAttackOptions, MethodOptions
from core.config.model import ModelOptions
from core.config.training import TrainingOptions
from core.records.key import trial_key

ADDED_LATER: tuple[tuple[str, Any], ...] = (("fast", True),)
"""Options that old sweeps' cells don't have, and the values at which they change no more than rounding: a sweep begun
without them is continued."""
Stream = Literal["init", "order", "augmentation", "attack"]
Allocation = Literal["fixed", "adaptive"]
STREAMS: tuple[Stream, ...] = ("init", "order", "augmentation", "attack")


class Cell(Options):
    """One setting of everything that decides a trial's bits, except its seed."""

    data: DataOptions
    model: ModelOptions
    method: MethodOptions
    attack: InnerAttackOptions
    awp: AwpOptions
    heal: HealOptions
    training: TrainingOptions

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> Cell:
        """Build from ``{option name: value}``; option names are unique over all parts.

        Raises:
            ValueError: an option is unknown, of the wrong type, out of range or impossible with another.
        """
        parts: dict[str, dict[str, Any]] = {part: {} for part in cls.model_fields}
        unknown = sorted(values.keys() - OPTION_OWNER.keys())
        if unknown:
            raise ValueError(f"unknown options: {', '.join(unknown)}")
        for name, value in values.items():
            parts[OPTION_OWNER[name]][name] = value
        return cls.model_validate(parts)

    @classmethod
    def stored(cls, values: Mapping[str, Any], where: str) -> Cell:
        """What a file from an earlier run says of its cell.

        Raises:
            ValueError: this version has no such cell; the message begins with ``where``.
        """
        try:
            return cls.from_flat(values)
        except ValidationError as error:
            raise ValueError(f"{where} is of a cell that this version can't train: {first_problem(error)}") from error
        except ValueError as error:
            raise ValueError(f"{where} is of a cell that this version can't train: {error}") from error

    @model_validator(mode="after")
    def _has_batches(self) -> Cell:
        images, batch_size = self.data.kept_images, self.training.batch_size
        if self.training.drop_last and batch_size > images:
            raise ValueError(f"batch_size {batch_size} with drop_last leaves no batch of {images} training images")
        return self

    def flat(self) -> dict[str, Any]:
        """All options by name, in JSON types."""
        dumped = self.model_dump(mode="json")
        return {name: value for part in dumped.values() for name, value in part.items()}

    @cached_property
    def id(self) -> str:
        """A short hash of all options; those that came later count only if they are not as before they came."""
        flat = self.flat()
        return digest({name: flat[name] for name in flat if (name, flat[name]) not in ADDED_LATER})


def _part_model(part: str) -> type[Options]:
    model = Cell.model_fields[part].annotation
    assert isinstance(model, type)
    return model


OPTION_OWNER: dict[str, str] = {option: part for part in Cell.model_fields for option in _part_model(part).model_fields}
"""Which part of a cell owns an option: ``{"beta": "method", ...}``."""

OPTION_FIELDS = {option: _part_model(part).model_fields[option] for option, part in OPTION_OWNER.items()}


class Trial(Options):
    """One cell trained with one seed."""

    cell: Cell
    seed: int = Field(ge=0, lt=2**32)
    pins: dict[Stream, int] = Field(default_factory=dict, description="streams whose seed is pinned, and to what")
    audit: bool = Field(False, description="runs to the end whatever the detector says")
    allocation: Allocation = Field("fixed", description="was the number of seeds fixed, or chosen while looking?")

    @property
    def key(self) -> str:
        """Identity of the trial within its sweep: the cell's hash, the seed and what is pinned."""
        return trial_key(self.cell.id, self.seed, {str(stream): pinned for stream, pinned in self.pins.items()})

    def record_fields(self) -> dict[str, Any]:
        """What every record of the trial says of it, however it ended."""
        return {
            "cell_id": self.cell.id,
            "cell": self.cell.flat(),
            "seed": self.seed,
            "pins": {str(stream): seed for stream, seed in self.pins.items()},
            "audit": self.audit,
            "allocation": self.allocation,
            "epochs_planned": self.cell.training.epochs,
        }


def digest(value: Any) -> str:
    """First 12 hex digits of the SHA-256 of ``value`` as canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
