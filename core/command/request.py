"""From the sweep command's arguments to what it is to do."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from core.allocation.goal import AllocationGoal
from core.config import (
    OPTION_FIELDS,
    STREAMS,
    EarlierSweep,
    EarlierTrials,
    Preset,
    ProtocolOptions,
    RunOptions,
    Stream,
    Sweep,
    build_sweep,
    explain,
    load_preset,
)
from core.config.base import Number, Options
from core.config.default_paths import storage_root
from core.config.flags import FlagField, flag, grid_flags, parse, single_flags
from core.config.names import SweepName, checked_name
from core.config.sweep import MAX_PIN_GROUPS, MAX_SEEDS, Seed

GOALS = ("until_width", "until_decided", "max_trials", "max_device_hours")
DEFAULT_PRESET = "quick"
SAME_OPTIONS = Preset(description="the trials of --seeds-from, as they were", grids=({"options": {}},), seeds=1)


class SeedOptions(Options):
    """Which seeds, and what a plan assumes of them."""

    seeds: int | None = Field(None, ge=1, le=MAX_SEEDS, description="seeds per cell (default: the preset's)")
    first_seed: int = Field(0, ge=0, lt=2**31, description="first seed; the k-th seed of every cell is first_seed + k")
    pin_value: tuple[Seed, ...] = Field((0,), description="seeds of pinned streams; a group of trials for each")
    assume_rate: tuple[Number, ...] = Field(
        (), description="instability rate that --plan assumes, of all cells or each"
    )


class PlanOptions(Options):
    """What a forecast assumes."""

    pilot: SweepName | None = Field(None, description="plan from the rates and seconds of this earlier sweep's trials")
    simulations: int = Field(200, ge=10, le=100_000, description="simulated sweeps of --plan")


class Request(NamedTuple):
    """What the command line asks for."""

    sweep: Sweep
    run: RunOptions
    storage: str
    """Absolute folder or URI."""
    goal: AllocationGoal | None
    """None: the number of seeds is fixed."""
    dry_run: bool
    plan: PlanOptions | None
    """None: no forecast is asked for."""
    description: str
    """The preset's."""
    rates: tuple[float, ...]
    """Rates that the plan assumes, of all cells or of each."""


def read_request(args: Sequence[str], presets: Path, about: str) -> Request:
    """The sweep and how to run it, from a preset, perhaps an earlier sweep, and flags.

    Args:
        args: the command line's.
        presets: folder of the presets.
        about: what ``--help`` says first.

    Raises:
        ValueError: one line per wrong option.
    """
    early = _early(args)
    storage = storage_root(early.storage)
    preset_name, preset, earlier = _preset(early, presets, storage)
    known = " | ".join(sorted(path.stem for path in presets.glob("*.yaml")))
    inherited = earlier.protocol.model_dump(mode="json") if earlier else {}
    flags: list[FlagField] = [
        ("preset", flag(str, f"sweep to run: {known}, or a path to a .yaml file"), preset_name),
        ("name", flag(str | None, "name of the sweep; the same name continues it (default: the preset's)"), None),
        ("seeds_from", flag(str | None, "train trials of this sweep again: its cells, protocol and seeds"), None),
        ("where", flag(tuple[str, ...], "those that ended so: stable, unstable, healed, censored"), ("unstable",)),
        ("pin_seed", flag(tuple[str, ...], f"streams that trials share: {', '.join(STREAMS)}"), preset.pin_seed),
        ("dry_run", flag(bool, "list cells, trials and cost; start nothing"), False),
        ("plan", flag(bool, "forecast trials, device-hours and money to the goal asked for; start nothing"), False),
    ]
    flags += single_flags(SeedOptions, {"pin_value": preset.pin_value})
    flags += single_flags(PlanOptions, {})
    flags += single_flags(AllocationGoal, {})
    flags += grid_flags(OPTION_FIELDS)
    flags += single_flags(ProtocolOptions, {**inherited, **preset.own_protocol})
    flags += single_flags(RunOptions, {})
    given = parse("sweep_trades", flags, f"{about}\nPreset {preset_name}: {preset.description}", args)
    try:
        chosen = SeedOptions.model_validate(_given(given, SeedOptions.model_fields))
    except ValidationError as error:
        raise ValueError("\n".join(explain(error))) from error
    name = given["name"] or _default_name(preset_name, preset, earlier)
    if earlier and name == earlier.trials.sweep:
        raise ValueError(f"--name {name}: is the sweep whose seeds are taken; give another")
    sweep = build_sweep(
        preset,
        preset_name=preset_name,
        name=name,
        cell_overrides={name: given[name] for name in OPTION_FIELDS if given[name] is not None},
        protocol_overrides=_given(given, ProtocolOptions.model_fields),
        seeds=chosen.seeds,
        first_seed=chosen.first_seed,
        pin_groups=_pin_groups(given["pin_seed"], chosen.pin_value),
        earlier=earlier,
    )
    adaptive = [f"--{goal.replace('_', '-')}" for goal in GOALS if given[goal] is not None]
    try:
        run = RunOptions.model_validate(_given(given, RunOptions.model_fields))
        goal = AllocationGoal.model_validate(_given(given, AllocationGoal.model_fields)) if adaptive else None
        plan = PlanOptions.model_validate(_given(given, PlanOptions.model_fields)) if given["plan"] else None
    except ValidationError as error:
        raise ValueError("\n".join(explain(error))) from error
    if adaptive:
        _check_adaptive(sweep, chosen.seeds, " ".join(adaptive))
    if goal and given["dry_run"]:
        raise ValueError(f"--dry-run: the number of trials depends on {' '.join(adaptive)}; use --plan for a forecast")
    if plan and not goal:
        raise ValueError("--plan: needs a goal, such as --until-width 0.4 or --until-decided 0.5 --max-trials 200")
    if plan and bool(plan.pilot) == bool(chosen.assume_rate):
        raise ValueError("--plan: needs either --pilot or --assume-rate")
    return Request(sweep, run, storage, goal, given["dry_run"], plan, preset.description, chosen.assume_rate)


def _early(args: Sequence[str]) -> argparse.Namespace:
    """The options on which the others' defaults depend."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset")
    parser.add_argument("--storage")
    parser.add_argument("--seeds-from", "--seeds_from")
    parser.add_argument("--where", nargs="+")
    early = parser.parse_known_args(args)[0]
    early.help = bool({"-h", "--help"} & set(args))
    return early


def _preset(early: argparse.Namespace, presets: Path, storage: str) -> tuple[str, Preset, EarlierSweep | None]:
    """Name and content of the preset, and the sweep that its trials come from, if they do."""
    name = early.preset or DEFAULT_PRESET
    preset = load_preset(name, presets)
    if early.seeds_from and early.preset is None:
        name, preset = "none", SAME_OPTIONS
    elif early.seeds_from and preset.earlier is None:
        raise ValueError(f"--seeds-from {early.seeds_from}: its cells are taken, not those of --preset {early.preset}")
    trials = preset.earlier
    if early.seeds_from:
        source = checked_name("--seeds-from", early.seeds_from)
        trials = trials.model_copy(update={"sweep": source}) if trials else EarlierTrials(sweep=source)
    elif early.where and trials is None:
        raise ValueError(f"--where {' '.join(early.where)}: needs --seeds-from")
    if trials is None or early.help:
        return name, preset, None
    if early.where:
        try:
            trials = EarlierTrials.model_validate({**trials.model_dump(), "where": early.where})
        except ValidationError as error:
            raise ValueError("\n".join(explain(error))) from error
    from core.ledger.earlier import read_earlier

    return name, preset, read_earlier(storage, trials)


def _default_name(preset_name: str, preset: Preset, earlier: EarlierSweep | None) -> str:
    if earlier and preset is SAME_OPTIONS:
        raise ValueError(f"--seeds-from {earlier.trials.sweep}: needs a --name for the new sweep")
    return Path(preset_name).stem


def _check_adaptive(sweep: Sweep, seeds: int | None, goals: str) -> None:
    if seeds is not None:
        raise ValueError(f"--seeds {seeds} is impossible with {goals}: limit an adaptive sweep by --max-trials")
    if sweep.rerun:
        raise ValueError(f"--seeds-from {sweep.rerun.sweep} is impossible with {goals}: its seeds are those there are")
    if len(sweep.pin_groups) > 1:
        raise ValueError(f"--pin-value with {len(sweep.pin_groups)} values is impossible with {goals}: give one")


def _pin_groups(streams: Sequence[str], values: Sequence[int]) -> list[dict[Stream, int]]:
    named = [name for text in streams for name in text.split(",")]
    unknown = sorted(set(named) - set(STREAMS))
    if unknown:
        raise ValueError(f"--pin-seed {' '.join(unknown)}: allowed are {', '.join(STREAMS)}")
    if not 0 < len(set(values)) == len(values) <= MAX_PIN_GROUPS:
        shown = " ".join(map(str, values[:10])) + (" ..." if len(values) > 10 else "")
        raise ValueError(f"--pin-value {shown}: allowed are one or more different numbers, at most {MAX_PIN_GROUPS}")
    pinned = [stream for stream in STREAMS if stream in named]
    if not pinned and len(values) > 1:
        raise ValueError(f"--pin-value {' '.join(map(str, values))}: needs --pin-seed")
    return [dict.fromkeys(pinned, value) for value in values] if pinned else [{}]


def _given(flags: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: flags[name] for name in names if flags[name] is not None}
