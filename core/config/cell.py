"""Cells and trials: a cell is one setting of all options, and a trial trains one cell with one seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from copy import copy
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator
from pydantic.fields import FieldInfo

from core.config.attack import AwpOptions, HealOptions, InnerAttackOptions, given_training_radius
from core.config.averaging import AveragingOptions
from core.config.base import Options
from core.config.data import DataOptions
from core.config.later import AddedLater, Located
from core.config.methods.base import MethodOptions, options_of
from core.config.methods.registry import METHODS, MethodEntry, method_options
from core.config.model import ModelOptions
from core.config.names import SweepName
from core.config.over_epochs import OverEpochs, mapped, spelled
from core.config.plugins import Plugin, PluginError, check_loaded, plugins_of
from core.config.problems import first_problem
from core.config.start import StartOptions
from core.config.training import TrainingOptions
from core.records import Outcome
from core.records.key import trial_key

Stream = Literal["init", "order", "augmentation", "attack"]
Allocation = Literal["fixed", "adaptive"]
PLUGINS = "plugins"
"""Entry of a stored cell that names its plug-ins with their versions."""
STREAMS: tuple[Stream, ...] = ("init", "order", "augmentation", "attack")
PARTS: dict[str, type[Options]] = {
    "data": DataOptions,
    "model": ModelOptions,
    "method": MethodOptions,
    "attack": InnerAttackOptions,
    "awp": AwpOptions,
    "heal": HealOptions,
    "averaging": AveragingOptions,
    "training": TrainingOptions,
    "start": StartOptions,
}
"""Parts of a cell by name. The class of ``method`` is that of the chosen method in `core.config.methods.METHODS`."""


class Cell(Options):
    """One setting of all options that decide the result of a trial. Only the seed is missing."""

    data: DataOptions
    model: ModelOptions
    method: Annotated[SerializeAsAny[MethodOptions], BeforeValidator(method_options)]
    attack: InnerAttackOptions
    awp: AwpOptions
    heal: HealOptions
    averaging: AveragingOptions = AveragingOptions()
    training: TrainingOptions
    start: StartOptions
    carried: tuple[tuple[str, str], ...] = Field(
        (),
        description="names and JSON values of options without effect that a cell of an earlier version had, if they "
        "differ from the method's `counted_before`; they only keep the cell's id",
    )

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> Cell:
        """Create a cell from ``{option name: value}``. Option names are unique over all parts.

        The entry `PLUGINS` of a stored cell names the plug-ins with which it was made.

        Raises:
            ValueError: an option is unknown, has a wrong type, is out of range, or is impossible with another option;
                or a plug-in is not loaded in the version that is named.
        """
        named = values.get(PLUGINS, [])
        if not isinstance(named, list):
            raise ValueError(f"{PLUGINS} {named} must be a list of names")
        check_loaded(map(str, named))
        parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
        options = {name: value for name, value in values.items() if name != PLUGINS}
        unknown = sorted(options.keys() - OPTION_OWNER.keys())
        if unknown:
            raise ValueError(f"unknown options: {', '.join(unknown)}")
        for name, value in options.items():
            parts[OPTION_OWNER[name]][name] = value
        return cls.model_validate(parts)

    @classmethod
    def stored(cls, values: Mapping[str, Any], where: str) -> Cell:
        """The cell that a file of an earlier run describes.

        In earlier versions a method could have options without effect. They are not options of the cell any more, but
        still count in its id.

        Raises:
            PluginError: a plug-in that the cell uses is not loaded.
            ValueError: this version has no such cell. Both messages begin with ``where``.
        """
        entry = METHODS.get(str(values.get("method", "trades")))
        before = entry.options.counted_before if entry else {}
        carried = tuple(
            (name, json.dumps(values[name])) for name in before if values.get(name, before[name]) != before[name]
        )
        try:
            cell = cls.from_flat({name: value for name, value in values.items() if name not in before})
        except PluginError as error:
            raise PluginError(f"{where}: {error}") from error
        except ValidationError as error:
            raise ValueError(f"{where} is of a cell that this version can't train: {first_problem(error)}") from error
        except ValueError as error:
            raise ValueError(f"{where} is of a cell that this version can't train: {error}") from error
        return cell.model_copy(update={"carried": carried}) if carried else cell

    @model_validator(mode="before")
    @classmethod
    def _method_brings_defaults(cls, given: Any) -> Any:
        """Complete the given options by the method's defaults for other parts."""
        if not isinstance(given, dict) or not all(isinstance(part, dict) for part in given.values()):
            return given
        entry = METHODS.get(str(given.get("method", {}).get("method", "trades")))
        if entry is None:
            return given
        parts = {name: dict(part) for name, part in given.items()}
        radius = given_training_radius(given.get("attack", {}))
        for option, value in _part_defaults(entry.options, radius).items() if radius else ():
            parts.setdefault(OPTION_OWNER[option], {}).setdefault(option, value)
        return parts

    @model_validator(mode="after")
    def _is_possible(self) -> Cell:
        name, method = self.method.method, type(self.method)
        defaults = _part_defaults(method, self.attack.training_radius)
        for option in sorted(method.fixed):
            value, only = getattr(getattr(self, OPTION_OWNER[option]), option), defaults[option]
            if value != only:
                has = "no such option" if only is None else only
                raise ValueError(f"{option} {value} is impossible with method {name}, which has {has}")
        self.method.check_attack(self.attack)
        epochs = self.training.epochs
        for _, option, schedule in self._over_epochs():
            if schedule.is_constant(epochs):
                number = spelled(schedule.at(1, epochs))
                raise ValueError(f"{option} {schedule} is {number} in every epoch of {epochs}; write {option} {number}")
        if self.training.label_smoothing != 0 and not method.smooths_labels:
            smoothing = self.training.label_smoothing
            raise ValueError(
                f"label_smoothing {smoothing} is impossible with method {name}, whose loss does not use it"
            )
        if self.training.compile and method.differentiates_twice:
            raise ValueError(f"compile is impossible with method {name}: a compiled gradient has no gradient")
        if self.training.precision == "fp16" and self.method.is_second_order:
            raise ValueError(f"precision fp16 is impossible with method {name}, which then learns nothing; use bf16")
        start, epochs = self.averaging.averaging_start, self.training.epochs
        if start > epochs:
            raise ValueError(f"averaging_start {start} is impossible with epochs {epochs}; allowed: up to {epochs}")
        images, batch_size = self.data.kept_images, self.training.batch_size
        if self.data.extra_data and not 0 < self.extra_per_batch < batch_size:
            raise ValueError(
                f"extra_share {self.data.extra_share:g} gives {self.extra_per_batch} extra images to a batch of "
                f"{batch_size}; allowed: 1 to {batch_size - 1}"
            )
        if self.training.drop_last and self.labelled_per_batch > images:
            raise ValueError(f"batch_size {batch_size} with drop_last leaves no batch of {images} training images")
        return self

    def count_batches(self, images: int) -> int:
        """Number of batches in an epoch over ``images`` images of the data set itself."""
        size = self.labelled_per_batch
        return images // size if self.training.drop_last else -(-images // size)

    @property
    def extra_per_batch(self) -> int:
        """Number of extra pseudo-labelled images in a whole batch."""
        return round(self.training.batch_size * self.data.extra_share) if self.data.extra_data else 0

    @property
    def labelled_per_batch(self) -> int:
        """Number of images of the data set itself in a whole batch. An epoch has each of these images once."""
        return self.training.batch_size - self.extra_per_batch

    def in_epoch(self, epoch: int) -> Cell:
        """The cell in a 1-based epoch: an option that changes over the epochs has the number of this epoch."""
        changes: dict[str, dict[str, float]] = {}
        for part, option, schedule in self._over_epochs():
            changes.setdefault(part, {})[option] = schedule.at(epoch, self.training.epochs)
        parts = {part: getattr(self, part).model_copy(update=numbers) for part, numbers in changes.items()}
        return self.model_copy(update=parts) if parts else self

    def _over_epochs(self) -> Iterator[tuple[str, str, OverEpochs]]:
        """The options whose values change over the epochs: part, name and value."""
        for part in PARTS:
            for option, value in getattr(self, part):
                if isinstance(value, OverEpochs):
                    yield part, option, value

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The plug-ins that registered the cell's method, model or data set."""
        return plugins_of(self.method.method, self.model.model, self.data.dataset)

    def options(self) -> dict[str, Any]:
        """All options by name, in JSON types."""
        dumped = self.model_dump(mode="json", include=set(PARTS))
        return {name: value for part in dumped.values() for name, value in part.items()}

    def flat(self) -> dict[str, Any]:
        """The cell as it is stored: its options, and what else counts in its id, in JSON types."""
        flat = self.options() | {name: json.loads(value) for name, value in self.carried}
        return flat | {PLUGINS: [str(plugin) for plugin in self.plugins]} if self.plugins else flat

    @cached_property
    def id(self) -> str:
        """A short hash of all options, and of the plug-ins that the cell uses.

        An option that was added later counts only if its value changes the behaviour of earlier versions. The place of
        a file does not count if the checksum of its content does.
        """
        flat = {**self.method.counted_before, **self.flat()}
        return digest({name: value for name, value in flat.items() if not self._is_left_out(name, value)})

    def _is_left_out(self, option: str, value: Any) -> bool:
        """True if the ``value`` of ``option`` does not count in the id."""
        if option == PLUGINS:
            return False
        part = getattr(self, OPTION_OWNER[option])
        info = type(part).model_fields.get(option)
        return any(
            (isinstance(mark, AddedLater) and mark.value == value)
            or (isinstance(mark, Located) and getattr(part, mark.content) is not None)
            for mark in (info.metadata if info else ())
        )


def _part_defaults(method: type[MethodOptions], radius: float | OverEpochs) -> dict[str, Any]:
    """`MethodOptions.part_defaults`, which change over the epochs with the radius of the training attack."""

    def default(option: str) -> Any:
        return mapped(radius, lambda number: method.part_defaults(number)[option])

    options = method.part_defaults(radius.values[0] if isinstance(radius, OverEpochs) else radius)
    return {option: default(option) for option in options}


OPTION_OWNER: dict[str, str] = {}
"""Option -> part of a cell that has it: ``{"beta": "method", ...}``."""
OPTION_FIELDS: dict[str, FieldInfo] = {}
"""Option -> its field. If several methods have the option, it is the field of the first method."""


def register_method(name: str, entry: MethodEntry) -> None:
    """Register a method. Its options become options of a cell.

    Raises:
        ValueError: the name is registered already, or another part of a cell has an option of the same name.
    """
    if name in METHODS:
        raise ValueError(f"method {name} exists already")
    if entry.options.model_fields["method"].default != name:
        raise ValueError(f"options of method {name} are called {entry.options.model_fields['method'].default}")
    for option in options_of(entry.options):
        if OPTION_OWNER.get(option, "method") != "method" or option in ("carried", PLUGINS):
            raise ValueError(f"option {option} of method {name} exists already, in part {OPTION_OWNER.get(option)}")
    if unknown := sorted(entry.options.part_defaults(InnerAttackOptions().epsilon).keys() - OPTION_OWNER.keys()):
        raise ValueError(f"method {name} has defaults of unknown options: {', '.join(unknown)}")
    METHODS[name] = entry
    _index_options()


def _index_options() -> None:
    """Fill `OPTION_OWNER` and `OPTION_FIELDS`, in the order of the parts."""
    found: dict[str, tuple[str, FieldInfo]] = {}
    for part, model in PARTS.items():
        if part != "method":
            found |= {option: (part, info) for option, info in model.model_fields.items()}
            continue
        name = copy(MethodOptions.model_fields["method"])
        name.annotation = Literal[tuple(METHODS)]  # type: ignore[assignment]
        found["method"] = part, name
        for entry in METHODS.values():
            for option, info in options_of(entry.options).items():
                found.setdefault(option, (part, info))
    OPTION_OWNER.clear()
    OPTION_FIELDS.clear()
    OPTION_OWNER.update({option: part for option, (part, _) in found.items()})
    OPTION_FIELDS.update({option: info for option, (_, info) in found.items()})


_index_options()


class TrialRerun(Options):
    """The trials of an earlier sweep from which the seed of a trial was taken."""

    sweep: SweepName
    where: tuple[Outcome, ...] = Field(min_length=1)
    counterpart: str = Field(description="id of the earlier sweep's cell that has the same seed")


class Trial(Options):
    """One cell trained with one seed."""

    cell: Cell
    seed: int = Field(ge=0, lt=2**32)
    pins: dict[Stream, int] = Field(default_factory=dict, description="pinned streams and their seeds")
    audit: bool = Field(False, description="train to the last epoch despite alarms")
    allocation: Allocation = Field(
        "fixed", description="choice of the number of seeds: fixed in advance, or adaptive during the sweep"
    )
    rerun: TrialRerun | None = None

    @property
    def key(self) -> str:
        """Identity of the trial within its sweep: the cell's hash, the seed and the pins."""
        return trial_key(self.cell.id, self.seed, {str(stream): pinned for stream, pinned in self.pins.items()})

    def record_fields(self) -> dict[str, Any]:
        """The fields that describe the trial in its record, for every outcome."""
        return {
            "cell_id": self.cell.id,
            "cell": self.cell.flat(),
            "seed": self.seed,
            "pins": {str(stream): seed for stream, seed in self.pins.items()},
            "audit": self.audit,
            "allocation": self.allocation,
            "rerun": self.rerun.model_dump(mode="json") if self.rerun else {},
            "epochs_planned": self.cell.training.epochs,
        }


def digest(value: Any) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of ``value`` in canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
