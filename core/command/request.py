"""The request of the sweep command: what to train and how to run it, read from the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from core.allocation.goal import AllocationGoal
from core.command.command_line import DEFAULT_PRESET, CommandLine, read_command_line
from core.command.default_name import changing_options, default_name, spelled
from core.command.sweep_flags import PlanOptions, SeedOptions
from core.command.without_effect import GOALS, check_effects, check_preset_effects, lost_effects
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
    validated,
)
from core.config.data import GENERATED_DEFAULTS
from core.config.default_paths import data_root, worker_role
from core.config.plugins import Plugin, registered_by
from core.config.sweep import MAX_PIN_GROUPS

SMALL_IMAGES = 16
"""Pixels of an image's side up to which the default preset's radius and network make sense."""

OTHER_SUBJECT = frozenset({"dataset", "method", *GENERATED_DEFAULTS})
"""Options beside whose changes a preset's description, which names the data and the method, is about other trials."""


class SweepRequest(NamedTuple):
    """What the command line asks for."""

    sweep: Sweep
    run: RunOptions
    storage: str
    """Storage as an absolute folder or a URI."""
    goal: AllocationGoal | None
    """Goal of an adaptive sweep; None: the number of seeds is fixed."""
    max_device_hours: float | None
    """Device-hours at which a sweep of fixed seeds ends; None: no limit, or an adaptive sweep, whose goal limits it."""
    dry_run: bool
    plan: PlanOptions | None
    """Assumptions of the forecast (--plan); None: no forecast is asked for."""
    description: str
    """Description of the preset."""
    lost_effects: tuple[str, ...]
    """A line for each value of the preset, and each default, that can change nothing beside the given flags."""
    rates: tuple[float, ...]
    """Instability rates that the plan assumes: one for all cells, or one per cell."""


def read_request(args: Sequence[str], presets: Path, about: str) -> SweepRequest:
    """Build the request from the preset, the earlier sweep if one is named, and the flags.

    Args:
        args: words of the command line.
        presets: folder of the preset files.
        about: first text of the first page of ``--help``.

    Raises:
        ValueError: options are wrong; the message has one line for each.
    """
    line = read_command_line(args, presets, about)
    given = line.given
    check_preset_effects(line.preset_name, line.preset)
    earlier = _earlier(line.trials, line.storage)
    chosen = validated(SeedOptions, _given(given, SeedOptions.model_fields))
    run = validated(RunOptions, _given(given, RunOptions.model_fields))
    assumed = validated(PlanOptions, _given(given, PlanOptions.model_fields))
    worker_role(run.worker_role, line.storage)
    sweep, changes = _sweep(line, chosen, earlier)
    _check_used(line.plugins, sweep)
    run.check_workers(max(entry.cell.training.workers for entry in sweep.entries))
    if "preset" not in given and earlier is None:
        _check_scale(sweep, given)
    hours = _budget(given, run)
    goal = _goal(given, sweep, chosen.seeds, hours)
    check_effects(given, sweep, goal)
    if "indifference" in given and "until_decided" not in given:
        raise ValueError(f"--indifference {given['indifference']}: needs --until-decided")
    if not given.get("dry_run"):
        from core.checkpoints.inputs import with_inputs

        sweep = with_inputs(sweep, line.storage, data_root(run.data_dir))
    dry_run, plan = given.get("dry_run", False), assumed if given.get("plan") else None
    _check_forecast(given, goal, plan)
    return SweepRequest(
        sweep=sweep,
        run=run,
        storage=line.storage,
        goal=goal,
        max_device_hours=None if goal else hours,
        dry_run=dry_run,
        plan=plan,
        description=_description(line, changes, earlier),
        lost_effects=lost_effects(given, line.preset_name, line.preset, sweep),
        rates=assumed.assume_rate,
    )


def _sweep(line: CommandLine, chosen: SeedOptions, earlier: EarlierSweep | None) -> tuple[Sweep, dict[str, Any]]:
    """The sweep, and the values of the options that change its preset."""
    given, preset, preset_name = line.given, line.preset, line.preset_name
    if preset_name == "none" and "name" not in given:
        raise ValueError(f"--seeds-from {given['seeds_from']}: needs a --name for the new sweep")
    values = chosen.pin_value if "pin_value" in given else preset.pin_value
    pin_groups = _pin_groups(
        given.get("pin_seed", preset.pin_seed),
        values,
        chosen="pin_value" in given or "pin_value" in preset.model_fields_set,
    )

    def build(flags: Mapping[str, Any], name: str) -> Sweep:
        return build_sweep(
            preset,
            preset_name=preset_name,
            name=name,
            cell_overrides=_given(flags, OPTION_FIELDS),
            protocol_overrides=_given(flags, ProtocolOptions.model_fields),
            seeds=chosen.seeds,
            first_seed=chosen.first_seed,
            pin_groups=pin_groups,
            earlier=earlier,
        )

    sweep = build(given, given.get("name") or default_name(preset_name, {}))
    changes = changing_options(given, sweep, lambda flags: build(flags, sweep.name))
    if "name" not in given and changes:
        sweep = validated(Sweep, {**dict(iter(sweep)), "name": default_name(preset_name, changes)})
    if earlier and sweep.name == earlier.trials.sweep:
        raise ValueError(f"--name {sweep.name}: is the earlier sweep of --seeds-from; give the new sweep another name")
    return sweep, changes


def _goal(given: Mapping[str, Any], sweep: Sweep, seeds: int | None, hours: float | None) -> AllocationGoal | None:
    """The goal of an adaptive sweep, with the budget as its limit; None if the number of seeds is fixed."""
    adaptive = _adaptive_flags(given)
    fixed = seeds is not None or sweep.rerun is not None  # a budget alone then limits these seeds
    if not adaptive or (fixed and adaptive == ["--max-device-hours"]):
        return None
    limits = {} if hours is None else {"max_device_hours": hours}
    goal = validated(AllocationGoal, {**_given(given, AllocationGoal.model_fields), **limits})
    _check_adaptive(sweep, seeds, " ".join(adaptive))
    return goal


def _adaptive_flags(given: Mapping[str, Any]) -> list[str]:
    """The given flags that make a sweep adaptive."""
    return [f"--{goal.replace('_', '-')}" for goal in GOALS if goal in given]


def _check_forecast(given: Mapping[str, Any], goal: AllocationGoal | None, plan: PlanOptions | None) -> None:
    if goal and given.get("dry_run"):
        raise ValueError(
            f"--dry-run: the number of trials depends on {' '.join(_adaptive_flags(given))}; use --plan for a forecast"
        )
    if plan and not goal:
        raise ValueError("--plan: needs a goal, such as --until-width 0.4 or --until-decided 0.5 --max-trials 200")
    if plan and bool(plan.pilot) == bool(plan.assume_rate):
        raise ValueError("--plan: needs either --pilot or --assume-rate")


def _description(line: CommandLine, changes: Mapping[str, Any], earlier: EarlierSweep | None) -> str:
    """The preset's description, and what the flags change in the preset."""
    description = line.preset.description
    if changed := " ".join(spelled(option, value) for option, value in changes.items()):
        if line.preset_name == "none" and earlier:
            description = f"Trials of sweep {earlier.trials.sweep}, changed by {changed}."
        else:
            itself = "" if changes.keys() & OTHER_SUBJECT else f" The preset itself: {description}"
            description = f"Preset {line.preset_name}, changed by {changed}.{itself}"
    if "method" in line.given and (others := _foreign_methods(line.preset, line.given["method"])):
        own = "has its own" if len(others) == 1 else "have their own"
        description += f" Its attack is not used for {', '.join(others)}, which {own} at its radius."
    return description


def _budget(given: Mapping[str, Any], run: RunOptions) -> float | None:
    """The smaller one of the limits that --max-device-hours and --max-cost set, in device-hours."""
    limits = []
    if "max_device_hours" in given:
        limits.append(float(validated(AllocationGoal, _given(given, ["max_device_hours"])).max_device_hours or 0))
    if run.max_cost is not None:
        if not run.price:
            raise ValueError(f"--max-cost {run.max_cost}: needs a --price above 0")
        limits.append(float(run.max_cost) / float(run.price))
    return min(limits, default=None)


def _foreign_methods(preset: Preset, methods: Iterable[str]) -> list[str]:
    """The methods that a grid of the preset does not have."""
    return [method for method in methods if any(method not in grid.methods for grid in preset.grids)]


def _check_used(plugins: Mapping[str, Plugin], sweep: Sweep) -> None:
    used = {plugin for entry in sweep.entries for plugin in entry.cell.plugins}
    for given, plugin in plugins.items():
        if plugin not in used:
            raise ValueError(
                f"--plugin {given}: no cell of this sweep uses what it registers: {', '.join(registered_by(plugin))}"
            )


def _earlier(trials: EarlierTrials | None, storage: str) -> EarlierSweep | None:
    if trials is None:
        return None
    from core.ledger.earlier import read_earlier

    return read_earlier(storage, trials)


def _check_scale(sweep: Sweep, given: Mapping[str, Any]) -> None:
    """Refuse the default preset on another data set with larger images, whose radius and network must be chosen."""
    missing = [f"--{name}" for name in ("epsilon", "model") if name not in given]
    large = [entry.cell.data for entry in sweep.entries if entry.cell.data.image_size > SMALL_IMAGES]
    if "dataset" in given and large and missing:
        raise ValueError(
            f"--dataset {large[0].dataset}: preset {DEFAULT_PRESET} has a radius and a network for 8x8 images; choose "
            f"another --preset, such as cifar10 or table4 (--help presets), or give {' and '.join(missing)} too"
        )


def _check_adaptive(sweep: Sweep, seeds: int | None, goals: str) -> None:
    if seeds is not None:
        raise ValueError(f"--seeds {seeds} is impossible with {goals}: limit an adaptive sweep by --max-trials")
    if sweep.rerun:
        raise ValueError(f"--seeds-from {sweep.rerun.sweep} is impossible with {goals}: it fixes the seeds")
    if start := next((entry.cell.start for entry in sweep.entries if entry.cell.start.follows_seed), None):
        raise ValueError(
            f"--start-from {start.start_from} is impossible with {goals}: it fixes the seeds; name one trial by its key"
        )
    if len(sweep.pin_groups) > 1:
        raise ValueError(f"--pin-value with {len(sweep.pin_groups)} values is impossible with {goals}: give one")


def _pin_groups(streams: Sequence[str], values: Sequence[int], chosen: bool) -> list[dict[Stream, int]]:
    """The groups of pinned streams. ``chosen`` tells whether a flag or a preset gives the values."""
    named = [name for text in streams for name in text.split(",")]
    unknown = sorted(set(named) - set(STREAMS))
    if unknown:
        raise ValueError(f"--pin-seed {' '.join(unknown)}: allowed are {', '.join(STREAMS)}")
    if not 0 < len(set(values)) == len(values) <= MAX_PIN_GROUPS:
        shown = " ".join(map(str, values[:10])) + (" ..." if len(values) > 10 else "")
        raise ValueError(f"--pin-value {shown}: allowed are one or more different numbers, at most {MAX_PIN_GROUPS}")
    pinned = [stream for stream in STREAMS if stream in named]
    if not pinned and chosen:
        raise ValueError(f"--pin-value {' '.join(map(str, values))}: needs --pin-seed")
    return [dict.fromkeys(pinned, value) for value in values] if pinned else [{}]


def _given(flags: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: flags[name] for name in names if name in flags}
