"""The request of the sweep command: what to train and how to run it, read from the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from core.allocation.goal import AllocationGoal
from core.command.default_name import changing_options, default_name, spelled
from core.command.help_page import HelpPage
from core.command.parser import parse_known, refuse_unknown, split_options
from core.command.sweep_flags import MOST_USED, PlanOptions, SeedOptions, check_unique, sweep_groups, with_values
from core.command.without_effect import GOALS, check_effects, check_preset_effects
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
    load_preset,
    validated,
)
from core.config.default_paths import data_root, storage_root
from core.config.names import checked_name
from core.config.plugins import Plugin, PluginError, load_plugin, registered_by
from core.config.sweep import MAX_PIN_GROUPS

DEFAULT_PRESET = "quick"
SMALL_IMAGES = 16
"""Pixels of an image's side up to which the default preset's radius and network make sense."""
MANY_VALUES = """\
An option with ... takes one or more values. A NUMBER may be a fraction such as 8/255. The sweep trains every
combination of the values of a cell's options (the groups data, model, method, attack, awp, heal, training, start)."""
OVER_EPOCHS = {
    "0..6@10": "linear from 0 in epoch 1 to 6 in epoch 10, and 6 from then on",
    "0@5..6@10": "0 up to epoch 5, then linear to 6 in epoch 10",
    "1then6@10": "1, and from epoch 10 on 6",
    "0..6@10then1@50": "several parts, one after the other",
    "1then6@50%": "6 after half of the epochs; all moments of a number are either epochs or percentages",
}
"""Examples of `core.config.over_epochs.OverEpochs`."""
SAME_OPTIONS = Preset(description="trials of an earlier sweep, unchanged", grids=({"options": {}},), seeds=1)


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
    given, of_plugins = parse_known(sweep_groups(), split_options(args))
    plugins = _load_plugins(given.get("plugin", ()))
    preset_name, preset, trials = _preset(given, presets)
    storage = storage_root(given.get("storage"))
    if trials and "help" not in given:
        from core.ledger.earlier import use_earlier_plugins

        use_earlier_plugins(storage, trials.sweep)
    groups = sweep_groups()
    check_unique(groups)
    if of_plugins:  # flags that are known since the plug-ins are loaded
        more, unknown = parse_known(groups, of_plugins)
        refuse_unknown(unknown, groups)
        given |= more
    if "help" in given:
        _show_help(given, presets, about, preset_name, preset, trials is not None)
    check_preset_effects(preset_name, preset)
    earlier = _earlier(trials, storage)
    chosen = validated(SeedOptions, _given(given, SeedOptions.model_fields))
    run = validated(RunOptions, _given(given, RunOptions.model_fields))
    assumed = validated(PlanOptions, _given(given, PlanOptions.model_fields))
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
        sweep = build(given, default_name(preset_name, changes))
    if earlier and sweep.name == earlier.trials.sweep:
        raise ValueError(f"--name {sweep.name}: is the earlier sweep of --seeds-from; give the new sweep another name")
    _check_used(plugins, sweep)
    run.check_workers(max(entry.cell.training.workers for entry in sweep.entries))
    if "preset" not in given and earlier is None:
        _check_scale(sweep, given)
    hours = _budget(given, run)
    fixed = chosen.seeds is not None or earlier is not None  # a budget alone then limits these seeds
    adaptive = [f"--{goal.replace('_', '-')}" for goal in GOALS if goal in given]
    goal = None
    if adaptive and not (fixed and adaptive == ["--max-device-hours"]):
        limits = {} if hours is None else {"max_device_hours": hours}
        goal = validated(AllocationGoal, {**_given(given, AllocationGoal.model_fields), **limits})
        _check_adaptive(sweep, chosen.seeds, " ".join(adaptive))
    check_effects(given, sweep, goal, plan=bool(given.get("plan")))
    if "indifference" in given and "until_decided" not in given:
        raise ValueError(f"--indifference {given['indifference']}: needs --until-decided")
    if not given.get("dry_run"):
        from core.checkpoints.inputs import with_inputs

        sweep = with_inputs(sweep, storage, data_root(run.data_dir))
    dry_run, plan = given.get("dry_run", False), assumed if given.get("plan") else None
    if goal and dry_run:
        raise ValueError(f"--dry-run: the number of trials depends on {' '.join(adaptive)}; use --plan for a forecast")
    if plan and not goal:
        raise ValueError("--plan: needs a goal, such as --until-width 0.4 or --until-decided 0.5 --max-trials 200")
    if plan and bool(plan.pilot) == bool(plan.assume_rate):
        raise ValueError("--plan: needs either --pilot or --assume-rate")
    description = preset.description
    if changed := " ".join(spelled(option, value) for option, value in changes.items()):
        if preset_name == "none" and earlier:
            description = f"Trials of sweep {earlier.trials.sweep}, changed by {changed}."
        else:
            description = f"Preset {preset_name}, changed by {changed}. The preset itself: {description}"
    if "method" in given and (others := _foreign_methods(preset, given["method"])):
        own = "has its own" if len(others) == 1 else "have their own"
        description += f" Its attack is not used for {', '.join(others)}, which {own} at its radius."
    ceiling = None if goal else hours
    return SweepRequest(sweep, run, storage, goal, ceiling, dry_run, plan, description, assumed.assume_rate)


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


def _load_plugins(given: Iterable[str]) -> dict[str, Plugin]:
    """Load the plug-ins of ``--plugin``. Their options become flags."""
    found = {}
    for name in given:
        try:
            found[name] = load_plugin(name)
        except PluginError as error:
            raise ValueError(f"--plugin {name}: {error}") from error
    return found


def _check_used(plugins: Mapping[str, Plugin], sweep: Sweep) -> None:
    used = {plugin for entry in sweep.entries for plugin in entry.cell.plugins}
    for given, plugin in plugins.items():
        if plugin not in used:
            raise ValueError(
                f"--plugin {given}: no cell of this sweep uses what it registers: {', '.join(registered_by(plugin))}"
            )


def _preset(given: Mapping[str, Any], presets: Path) -> tuple[str, Preset, EarlierTrials | None]:
    """Name and content of the preset, and which trials of an earlier sweep are trained again, if any."""
    source, where = given.get("seeds_from"), given.get("where")
    name = given.get("preset", DEFAULT_PRESET)
    preset = load_preset(name, presets)
    if source and "preset" not in given:
        name, preset = "none", SAME_OPTIONS
    elif source and preset.earlier is None:
        raise ValueError(f"--seeds-from {source}: gives the cells; leave out --preset {name}")
    trials = preset.earlier
    if source:
        checked_name("--seeds-from", source)
        trials = trials.model_copy(update={"sweep": source}) if trials else EarlierTrials(sweep=source)
    if where and trials is None:
        raise ValueError(f"--where {' '.join(where)}: needs --seeds-from")
    if where and trials:
        trials = validated(EarlierTrials, {**trials.model_dump(), "where": where})
    return name, preset, trials


def _earlier(trials: EarlierTrials | None, storage: str) -> EarlierSweep | None:
    if trials is None:
        return None
    from core.ledger.earlier import read_earlier

    return read_earlier(storage, trials)


def _show_help(given: Mapping[str, Any], presets: Path, about: str, name: str, preset: Preset, earlier: bool) -> None:
    """Print the help page that is asked for, with the values of the preset, and end the program."""

    def known() -> dict[str, str]:
        return {file.stem: load_preset(file.stem, presets).description for file in sorted(presets.glob("*.yaml"))}

    changes = {option: given[option] for option in (*OPTION_FIELDS, *ProtocolOptions.model_fields) if option in given}
    groups = with_values(name, preset, default_name(name, changes), earlier)
    lists = {
        "presets": ("the presets that come with the project", known),
        "over-epochs": ("numbers that change over the epochs, one word each", lambda: OVER_EPOCHS),
    }
    HelpPage(f"{about.strip()}\n\n{MANY_VALUES}", groups, MOST_USED, lists).show(given["help"])


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
