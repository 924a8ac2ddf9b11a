"""Flags of the sweep command in groups, and the values that a preset gives to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field
from pydantic.fields import FieldInfo

from core.allocation.goal import AllocationGoal
from core.config import (
    METHODS,
    OPTION_FIELDS,
    OPTION_OWNER,
    STREAMS,
    Cell,
    ClusterOptions,
    Preset,
    ProtocolOptions,
    StorageOptions,
    methods_with,
)
from core.config.base import Number, Options, Unset
from core.config.flags import Flag, FlagGroup, cell_flag, model_flags, shown_value
from core.config.names import SweepName
from core.config.sweep import MAX_SEEDS, Seed

MOST_USED = ("preset", "dry_run", "name", "seeds", "method", "beta", "batch_size", "epochs", "data_dir", "storage")
PARTS = {
    "data": "the data set, its split and augmentation",
    "model": "the network architecture",
    "method": "the training method and its objective",
    "attack": "the inner attack, which training runs on every batch",
    "awp": "perturbation of the weights in training: AWP or RWP",
    "heal": "healing by input noise (Algorithm 1)",
    "averaging": "average of the weights that is judged in place of the trained weights",
    "training": "optimiser, schedule, arithmetic and workers",
    "start": "weights of another trial that training starts from",
}
"""Title of the group of options of each part of a cell."""
EARLIER = "as in the earlier sweep"


class SeedOptions(Options):
    """The seeds of a sweep, and the values of pinned random streams."""

    seeds: int | None = Field(None, ge=1, le=MAX_SEEDS, description="number of seeds per cell")
    first_seed: int = Field(0, ge=0, lt=2**31, description="first seed of every cell; further seeds count up from it")
    pin_value: tuple[Seed, ...] = Field(
        (0,), description="seeds of the pinned streams; each value makes one group of trials"
    )


class PlanOptions(Options):
    """Assumptions of a forecast."""

    assume_rate: Annotated[tuple[Number, ...], Unset("the rates of --pilot")] = Field(
        (), description="probability of instability that --plan assumes: one for all cells, or one per cell"
    )
    pilot: Annotated[SweepName | None, Unset("the rates of --assume-rate")] = Field(
        None, description="earlier sweep whose rates and seconds per trial --plan takes over"
    )
    simulations: int = Field(200, ge=10, le=100_000, description="number of sweeps that --plan simulates")


SWEEP_FLAGS = (
    Flag("preset", "preset to run: a name from --help presets, or the path of a .yaml file"),
    Flag(
        "name",
        "name of the sweep; a sweep of the same name is continued; "
        "the default is made of the preset and the options that change it",
    ),
    Flag(
        "seeds_from",
        "earlier sweep whose trials are trained again, with its cells, protocol and seeds",
        value="default: none",
    ),
    Flag(
        "where",
        "outcomes of the earlier trials that are trained again",
        "many",
        "stable | unstable | healed | censored",
        "default: unstable",
    ),
    Flag(
        "plugin",
        "files (.py) or installed plug-ins that register methods, models or data sets of your own",
        "many",
        value="default: none",
    ),
    Flag(
        "dry_run",
        "list the cells, the number of trials and the estimated cost; train nothing",
        "switch",
        value="default: off",
    ),
)
PIN_SEED = Flag(
    "pin_seed",
    "random streams that trials of a group share; --pin-value seeds them",
    "many",
    " | ".join(STREAMS),
    "default: none",
)
PLAN = Flag(
    "plan",
    "forecast the trials, device-hours and money that the goal takes; train nothing",
    "switch",
    value="default: off",
)


def sweep_groups() -> tuple[FlagGroup, ...]:
    """All flags of the command, in the order of the help."""
    return tuple(_groups())


def check_unique(groups: Iterable[FlagGroup]) -> None:
    """Refuse an option of a plug-in that has the name of another flag, because one word cannot set both.

    Raises:
        ValueError: a name occurs twice.
    """
    names = Counter(flag.name for group in groups for flag in group.flags)
    for name, count in names.items():
        if count > 1:
            owners = ", ".join(methods_with(name))
            raise ValueError(
                f"option {name} of method {owners} has the name of another flag of this command; give it another name "
                "in the plug-in"
            )


def _groups() -> Iterator[FlagGroup]:
    yield FlagGroup("sweep", "the preset, or the trials of an earlier sweep, to train", SWEEP_FLAGS)
    yield FlagGroup("seeds", "number of seeds, and shared random streams", (*model_flags(SeedOptions), PIN_SEED))
    for part in dict.fromkeys(OPTION_OWNER.values()):
        flags = (_option_flag(name, info) for name, info in OPTION_FIELDS.items() if OPTION_OWNER[name] == part)
        yield FlagGroup(part, PARTS[part], tuple(flags))
    yield FlagGroup("protocol", "validation attack, alarm, early stopping and verdict", model_flags(ProtocolOptions))
    yield FlagGroup("certainty", "adaptive number of seeds: goal and budget", model_flags(AllocationGoal))
    yield FlagGroup("plan", "forecast of an adaptive sweep", (PLAN, *model_flags(PlanOptions)))
    yield FlagGroup("cluster", "Ray cluster, resources, time limits and restarts", model_flags(ClusterOptions))
    yield FlagGroup("storage", "data, checkpoints, records and tracking", model_flags(StorageOptions))


def _option_flag(name: str, info: FieldInfo) -> Flag:
    """The flag of an option of a cell; if only some methods have the option, the text names them."""
    flag, owners = cell_flag(name, info), methods_with(name)
    if not owners:
        return flag
    defaults: dict[str, list[str]] = {}
    for method in owners:
        default = METHODS[method].options.model_fields[name].default
        defaults.setdefault(_grid_value(default), []).append(method)
    several = len(defaults) > 1
    shown = [f"{value} ({', '.join(methods)})" if several else value for value, methods in defaults.items()]
    return replace(flag, text=f"{flag.text}; only for {', '.join(owners)}", value=f"default: {', '.join(shown)}")


def with_values(preset_name: str, preset: Preset, default_name: str, earlier: bool) -> tuple[FlagGroup, ...]:
    """All groups, with the value that each flag has by default; ``earlier``: cells come from an earlier sweep."""
    source = "" if preset_name == "none" else f"preset {preset_name}"
    values = dict(_own_values(preset, default_name, source, earlier))
    values |= _cell_values(preset, source, earlier)
    own = preset.own_protocol
    for name in ProtocolOptions.model_fields:
        if name in own:
            values[name] = f"{source}: {shown_value(name, own[name])}"
        elif earlier:
            values[name] = EARLIER
    return tuple(
        group._replace(flags=tuple(replace(flag, value=values.get(flag.name, flag.value)) for flag in group.flags))
        for group in sweep_groups()
    )


def _own_values(preset: Preset, default_name: str, source: str, earlier: bool) -> Iterator[tuple[str, str]]:
    yield "preset", f"default: {source.removeprefix('preset ')}" if source else ""
    yield "name", f"default: {default_name}" if default_name else "needed with --seeds-from"
    seeds = dict.fromkeys(str(grid.seeds or preset.seeds) for grid in preset.grids)
    yield "seeds", EARLIER if earlier else f"{source}: {' '.join(seeds)}"
    if preset.pin_seed:
        yield "pin_seed", f"{source}: {' '.join(preset.pin_seed)}"
        yield "pin_value", f"{source}: {shown_value('pin_value', preset.pin_value)}"


def _cell_values(preset: Preset, source: str, earlier: bool) -> Mapping[str, str]:
    """Values of each option in the preset's cells: those of the preset, or the default if the preset has none."""
    chosen = {name for grid in preset.grids for name in grid.options}
    options = [options for grid in preset.grids for options in grid.combinations({})]
    cells = options if earlier else [Cell.from_flat(cell).flat() for cell in options]
    found = dict.fromkeys(OPTION_FIELDS, EARLIER) if earlier else {}
    for name in OPTION_FIELDS:
        values = dict.fromkeys(_grid_value(cell[name]) for cell in cells if cell.get(name) is not None)
        if shown := " ".join(values):
            found[name] = f"{source if name in chosen else 'default'}: {shown}"
    return found


def _grid_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else shown_value("", value)
