"""The sweep command's flags in groups, and the values that a preset gives to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, get_args

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
from core.records import Outcome

MOST_USED = (*("preset", "dry_run", "name", "seeds", "method", "beta", "batch_size", "epochs", "data_dir", "storage"),)
PARTS = {
    "data": "data set, split and augmentation",
    "model": "the network",
    "method": "what a training step minimises",
    "attack": "the attack that training runs on every batch",
    "awp": "adversarial weight perturbation",
    "heal": "healing by input noise once an alarm is on",
    "training": "optimiser, schedule, arithmetic and workers",
}
"""What the options of each part of a cell are about."""
EARLIER = "as in the earlier sweep"
OUTCOMES = " | ".join(get_args(Outcome))


class SeedOptions(Options):
    """Which seeds are trained, and which parts of a trial's randomness are shared."""

    seeds: int | None = Field(None, ge=1, le=MAX_SEEDS, description="seeds per cell")
    first_seed: int = Field(0, ge=0, lt=2**31, description="first seed; the k-th seed of every cell is first_seed + k")
    pin_value: tuple[Seed, ...] = Field((0,), description="seeds of pinned streams; a group of trials for each")


class PlanOptions(Options):
    """What a forecast assumes."""

    assume_rate: tuple[Number, ...] = Field(
        (), description="instability rate that --plan assumes, of all cells or each"
    )
    pilot: Annotated[SweepName | None, Unset("--assume-rate")] = Field(
        None, description="plan from the rates and seconds of this earlier sweep's trials"
    )
    simulations: int = Field(200, ge=10, le=100_000, description="simulated sweeps of --plan")


SWEEP_FLAGS = (
    Flag("preset", "sweep to run: a name that --help presets lists, or a path to a .yaml file"),
    Flag("name", "name of the sweep; the same name continues it"),
    Flag("seeds_from", "train trials of this sweep again: its cells, protocol and seeds"),
    Flag(
        "where",
        "outcomes of the earlier trials that are trained again",
        "many",
        "stable | unstable | healed | censored",
        "default: unstable",
    ),
    Flag("dry_run", "list cells, trials and cost; start nothing", "switch"),
)
PIN_SEED = Flag("pin_seed", "streams of random numbers that trials share", "many", " | ".join(STREAMS))
PLAN = Flag("plan", "forecast trials, device-hours and money to the goal asked for; start nothing", "switch")


def sweep_groups() -> tuple[FlagGroup, ...]:
    """All flags of the command, in the order in which the help shows them."""
    return tuple(_groups())


def _groups() -> Iterator[FlagGroup]:
    yield FlagGroup("sweep", "what is trained: a preset, or trials of an earlier sweep", SWEEP_FLAGS)
    yield FlagGroup("seeds", "how many seeds, and which randomness trials share", (*model_flags(SeedOptions), PIN_SEED))
    for part in dict.fromkeys(OPTION_OWNER.values()):
        flags = (_option_flag(name, info) for name, info in OPTION_FIELDS.items() if OPTION_OWNER[name] == part)
        yield FlagGroup(part, PARTS[part], tuple(flags))
    yield FlagGroup("protocol", "measurement, alarm, early stopping and verdict", model_flags(ProtocolOptions))
    yield FlagGroup("certainty", "adaptive seeds: when a cell has enough, and a budget", model_flags(AllocationGoal))
    yield FlagGroup("plan", "a forecast instead of a sweep", (PLAN, *model_flags(PlanOptions)))
    yield FlagGroup("cluster", "Ray, resources, time limits and restarts", model_flags(ClusterOptions))
    yield FlagGroup("storage", "data, checkpoints, records and tracking", model_flags(StorageOptions))


def _option_flag(name: str, info: FieldInfo) -> Flag:
    """The flag of an option of a cell; one of a method's own options says which methods have it."""
    flag, owners = cell_flag(name, info), methods_with(name)
    if not owners:
        return flag
    defaults: dict[str, list[str]] = {}
    for method in owners:
        default = METHODS[method].options.model_fields[name].default
        defaults.setdefault(_grid_value(default), []).append(method)
    several = len(defaults) > 1
    shown = [f"{value} ({', '.join(methods)})" if several else value for value, methods in defaults.items()]
    return replace(flag, text=f"{flag.text} ({', '.join(owners)})", value=f"default: {', '.join(shown)}")


def with_values(preset_name: str, preset: Preset, default_name: str, earlier: bool) -> tuple[FlagGroup, ...]:
    """The groups, each flag with the value that is used without it; ``earlier``: cells are those of another sweep."""
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
    """What each option of a cell is in the preset's cells: the preset's values, or the default where it has none."""
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
