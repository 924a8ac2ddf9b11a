"""Presets: sweeps in YAML files, and how flags change them."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator, model_validator

from core.config.attack import InnerAttackOptions
from core.config.base import Options
from core.config.cell import OPTION_FIELDS, OPTION_OWNER, Cell, Stream
from core.config.data import GENERATED_DEFAULTS, fixed_shape
from core.config.methods.registry import METHODS, lacks
from core.config.plugins import load_plugin
from core.config.problems import explain
from core.config.protocol import ProtocolOptions
from core.config.rerun import EarlierSweep, EarlierTrials
from core.config.sweep import MAX_SEEDS, Rerun, Seed, SeededCell, Sweep
from core.config.yaml_file import read_yaml

DEFAULT_METHOD = "trades"
ATTACK_PARTS = ("attack", "awp")
"""Parts of a cell whose options a preset chooses for its own methods."""
LIST_OPTIONS = frozenset({"milestones"})
"""Options of which a single value is a list."""
MAX_CELLS = 10_000
"""Cells of one grid, and combinations of all grids of a preset together."""


class Grid(Options):
    """Options with one or more values; every combination is a cell."""

    options: dict[str, Any]
    seeds: int | None = Field(None, ge=1, le=MAX_SEEDS)

    @field_validator("options")
    @classmethod
    def _known(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if name not in OPTION_FIELDS:
                close = difflib.get_close_matches(name, OPTION_FIELDS, n=1)
                raise ValueError(f"unknown option {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
        return options

    def _listed(self, overrides: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The values of each option."""
        return {name: _values(name, value) for name, value in {**self.options, **overrides}.items()}

    def size(self, overrides: Mapping[str, Any]) -> int:
        """Number of `combinations`."""
        return math.prod(map(len, self._listed(overrides).values()))

    def combinations(self, overrides: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All combinations of values; an override replaces an option's values.

        Where it replaces the data set by one whose shape is given, this grid's own shape no longer means anything.
        Where it replaces the method, this grid's own options of other methods no longer do, nor does its attack, which
        was chosen for them (`_own_attack`). In a grid of several methods, an option is left out for those that lack it:
        some combinations are equal then.

        Raises:
            ValueError: an option has no value at all.
        """
        listed = self._listed(overrides)
        for name, values in listed.items():
            if not values:
                raise ValueError(f"--{name.replace('_', '-')}: needs at least one value")
            _check_different(name, values)
        if (cells := math.prod(map(len, listed.values()))) > MAX_CELLS:
            axes = ", ".join(f"{len(values)} of {name}" for name, values in listed.items() if len(values) > 1)
            raise ValueError(f"{axes} are {cells} cells; allowed are {MAX_CELLS}")
        methods = [str(method) for method in listed.get("method", [DEFAULT_METHOD])]
        replaced = self.options.keys() - overrides.keys() if "method" in overrides else frozenset()
        spare = {name for name in listed if name in replaced or not all(lacks(method, name) for method in methods)}
        found = []
        for chosen in itertools.product(*listed.values()):
            options = dict(zip(listed, chosen, strict=True))
            if "dataset" in overrides and fixed_shape(str(options["dataset"])):
                options = {k: v for k, v in options.items() if k in overrides or k not in GENERATED_DEFAULTS}
            method = str(options.get("method", DEFAULT_METHOD))
            if "method" in overrides and method not in self.methods:
                options = _own_attack(method, options, overrides)
            found.append({k: v for k, v in options.items() if k not in spare or not lacks(method, k)})
        return found

    @property
    def methods(self) -> list[str]:
        """The methods of the grid's own cells."""
        return [str(method) for method in _values("method", self.options.get("method", DEFAULT_METHOD))]


def _own_attack(method: str, options: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The options for a method that the grid does not have: its own attack at the grid's radius.

    Of the grid's options of the attack and of weight perturbation only the radius stays. The method alone is then what
    its paper calls it. A step size that the method does not set is a quarter of the radius, as 2/255 is of 8/255.
    """
    kept = {k: v for k, v in options.items() if k in overrides or k == "epsilon" or OPTION_OWNER[k] not in ATTACK_PARTS}
    entry = METHODS.get(method)
    if entry and "attack_step_size" not in entry.options.part_defaults(InnerAttackOptions().epsilon):
        kept.setdefault("attack_step_size", "epsilon/4")
    return kept


class Preset(Options):
    """A sweep in a file: one or more grids, seeds per cell, and where the protocol differs from its defaults.

    With `earlier`, cells, seeds and protocol come from the trials of an earlier sweep, and the grids' options replace
    theirs.
    """

    description: str
    grids: tuple[Grid, ...] = Field(min_length=1)
    seeds: int | None = Field(None, ge=1, le=MAX_SEEDS)
    protocol: ProtocolOptions = Field(default_factory=ProtocolOptions)
    pin_seed: tuple[Stream, ...] = ()
    pin_value: tuple[Seed, ...] = (0,)
    earlier: EarlierTrials | None = None
    plugins: tuple[str, ...] = Field((), description="paths, relative to the file, or names of installed plug-ins")

    @model_validator(mode="after")
    def _has_seeds(self) -> Preset:
        if self.earlier is None and self.seeds is None and any(grid.seeds is None for grid in self.grids):
            raise ValueError("seeds: needs a number of seeds per cell")
        return self

    def check_size(self, overrides: Mapping[str, Any]) -> None:
        """Raise ValueError if the grids have more than `MAX_CELLS` combinations together."""
        sizes = [grid.size(overrides) for grid in self.grids]
        if len(sizes) > 1 and sum(sizes) > MAX_CELLS:
            raise ValueError(f"grids: {len(sizes)} grids are {sum(sizes)} cells; allowed are {MAX_CELLS} together")

    @property
    def own_protocol(self) -> dict[str, Any]:
        """Protocol options that the file sets."""
        return self.protocol.model_dump(mode="json", exclude_unset=True)


class _NamedPlugins(BaseModel):
    plugins: tuple[str, ...] = ()


def load_preset(name: str, folder: Path) -> Preset:
    """The preset called ``name`` in ``folder``, or the YAML file at path ``name``. Its plug-ins are loaded.

    Raises:
        ValueError: no preset has that name, or the file is not a preset.
    """
    known = {file.stem: file for file in folder.glob("*.yaml")}
    path = Path(name) if name.endswith((".yaml", ".yml")) else known.get(name)
    if path is None:
        allowed = ", ".join(sorted(known))
        raise ValueError(f"--preset {name}: no such preset; allowed: {allowed}, or a path to a .yaml file")
    try:
        content = read_yaml(path)
        # Options of plug-ins must be known before the grids are checked.
        for plugin in _NamedPlugins.model_validate(content).plugins if isinstance(content, dict) else ():
            load_plugin(plugin, path.parent)
    except ValidationError as error:
        raise ValueError(f"--preset {name}: {explain(error)[0]}") from error
    except ValueError as error:
        raise ValueError(f"--preset {name}: {error}") from error
    problems: list[str] = []
    try:
        preset = Preset.model_validate(content)
        preset.check_size({})
        for grid in preset.grids if preset.earlier is None else ():
            _cells(grid, {}, problems)
    except ValidationError as error:
        problems = explain(error)
    except ValueError as error:
        problems = [str(error)]
    if problems:
        raise ValueError("\n".join(f"--preset {name}: {line}" for line in dict.fromkeys(problems)))
    return preset


def build_sweep(
    preset: Preset,
    *,
    preset_name: str,
    name: str,
    cell_overrides: Mapping[str, Any],
    protocol_overrides: Mapping[str, Any],
    seeds: int | None = None,
    first_seed: int = 0,
    pin_groups: Sequence[Mapping[Stream, int]] = ({},),
    earlier: EarlierSweep | None = None,
) -> Sweep:
    """The sweep of a preset with some options replaced; with ``earlier``, on the cells and seeds of that sweep.

    ``seeds`` is the number of seeds per cell; with ``earlier``, only the first ``seeds`` seeds of each cell are used.

    Raises:
        ValueError: options are wrong; the message has one line for each, with its value and what is allowed.
    """
    problems: list[str] = []
    entries: dict[str, SeededCell] = {}
    counterparts: dict[str, str] = {}
    if earlier is None:
        preset.check_size(cell_overrides)
        for grid in preset.grids:
            for cell in _cells(grid, cell_overrides, problems):
                count = seeds or grid.seeds or preset.seeds
                entries.setdefault(cell.id, SeededCell(cell=cell, seeds=count))
    else:
        for (there, numbers), grid in itertools.product(earlier.cells, preset.grids):
            for cell in _cells(Grid(options=there.options()), {**grid.options, **cell_overrides}, problems):
                if counterparts.setdefault(cell.id, there.id) != there.id:
                    problems.append(
                        f"two cells of sweep {earlier.trials.sweep} become one: an option in which they differ is set"
                    )
                entries[cell.id] = SeededCell(cell=cell, seeds=numbers[:seeds])
    protocol = ProtocolOptions()
    inherited = earlier.protocol.model_dump() if earlier else {}
    try:
        protocol = ProtocolOptions.model_validate({**inherited, **preset.own_protocol, **protocol_overrides})
    except ValidationError as error:
        problems += explain(error)
    if problems:
        raise ValueError("\n".join(dict.fromkeys(problems)))
    try:
        return Sweep(
            name=name,
            preset=preset_name,
            entries=tuple(entries.values()),
            protocol=protocol,
            first_seed=first_seed,
            pin_groups=tuple(dict(pins) for pins in pin_groups),
            rerun=Rerun(sweep=earlier.trials.sweep, where=earlier.trials.where, counterparts=counterparts)
            if earlier
            else None,
        )
    except ValidationError as error:
        raise ValueError("\n".join(explain(error))) from error


def _cells(grid: Grid, overrides: Mapping[str, Any], problems: list[str]) -> list[Cell]:
    """Valid cells of a grid; errors of the other combinations are added to ``problems``."""
    cells = []
    for options in grid.combinations(overrides):
        try:
            cells.append(Cell.from_flat(options))
        except ValidationError as error:
            problems += explain(error)
    return cells


def _check_different(name: str, values: Sequence[Any]) -> None:
    """Refuse two values of an option that mean the same, because both would be the same cells.

    Raises:
        ValueError: two values are equal; the message has both as they are written.
    """
    if len(values) < 2:
        return
    info = OPTION_FIELDS[name]
    option: TypeAdapter[Any] = TypeAdapter(cast(Any, Annotated[info.annotation, info]))
    meant: dict[str, Any] = {}
    for value in values:
        meaning = _meaning(option, value)
        if meaning in meant:
            first = meant[meaning]
            twice = f"{value} is there twice" if str(first) == str(value) else f"{first} and {value} are the same value"
            shown = " ".join(map(str, values[:10])) + (" ..." if len(values) > 10 else "")
            raise ValueError(f"--{name.replace('_', '-')} {shown}: {twice}")
        meant[meaning] = value


def _meaning(option: TypeAdapter[Any], value: Any) -> str:
    """The value that a text of an option stands for, as a text that is equal for equal values."""
    try:
        return repr(option.validate_python(value))
    except ValidationError:  # a wrong value, which is said with its cell, or one that depends on other options
        return str(value)


def _values(name: str, value: Any) -> list[Any]:
    if name in LIST_OPTIONS:
        return [value if isinstance(value, list | tuple) else [value]]
    return list(value) if isinstance(value, list | tuple) else [value]
