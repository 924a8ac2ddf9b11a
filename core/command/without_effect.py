"""Flags and values of presets that are valid one by one, but that can change nothing in their sweep.

A flag without effect is an error, unless earlier versions have stored sweeps that have it, which must continue. A value
of the preset, or a default, that loses its effect because of another flag is said in a line on the terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.allocation import AllocationGoal
from core.command.effects import AT_MOST, LIMITS, NEEDS, ONLY_SAID
from core.command.sweep_flags import PlanOptions
from core.config import OPTION_FIELDS, OPTION_OWNER, Cell, ProtocolOptions, Sweep
from core.config.datasets import find_dataset
from core.config.flags import shown_value
from core.config.preset import ATTACK_PARTS, Grid, Preset, build_sweep

GOALS = ("until_width", "until_decided", "max_trials", "max_device_hours")
GOAL_DETAILS = tuple(name for name in AllocationGoal.model_fields if name != "max_device_hours")
"""Options that only an adaptive sweep has. A sweep of fixed seeds has a budget, too."""
MAX_SHOWN = 3
"""Largest number of reasons in one error. Cells differ in them."""
LIMITED = frozenset(name for names in LIMITS.values() for name in names)


def check_effects(given: Mapping[str, Any], sweep: Sweep, goal: AllocationGoal | None) -> None:
    """Refuse the first given flag without effect.

    Args:
        given: value of each given flag.
        sweep: the sweep that the flags describe.
        goal: the goal of an adaptive sweep; None if the number of seeds is fixed.

    Raises:
        ValueError: a flag can change nothing. The message says what it needs.
    """
    plan = bool(given.get("plan"))
    estimates = given.get("dry_run") or (plan and "assume_rate" in given)
    for name, reason in (
        *((name, "needs --plan") for name in PlanOptions.model_fields if not plan),
        *((name, f"needs {' or '.join(map(_flag, GOALS))}") for name in GOAL_DETAILS if goal is None),
        *((("device_tflops", "needs --dry-run, or --plan with --assume-rate"),) if not estimates else ()),
    ):
        if name in given:
            raise ValueError(f"{_written(name, given[name])}: {reason}")
    _check_options(given, sweep)
    if goal and goal.max_trials is not None and goal.max_trials < len(sweep.entries):
        raise ValueError(
            f"--max-trials {goal.max_trials}: the sweep has {len(sweep.entries)} cells, which need one each"
        )
    sets = dict.fromkeys(entry.cell.data.dataset for entry in sweep.entries)
    if given.get("download") and not any(find_dataset(name).needs_files for name in sets):
        raise ValueError(f"--download: needs a data set with files; {' and '.join(sets)} have none")


def check_preset_effects(name: str, preset: Preset) -> None:
    """Refuse the first value of a preset without effect in the sweep of the preset alone.

    The grids of a preset that trains trials of an earlier sweep again are not checked, because they lack the options of
    that sweep.

    Args:
        name: name of the preset.
        preset: its content.

    Raises:
        ValueError: a value can change nothing. The message says what it needs.
    """
    for values, part in () if preset.earlier else _parts(preset):
        try:
            sweep = build_sweep(part, preset_name=name, name="preset", cell_overrides={}, protocol_overrides={})
        except ValueError:
            continue  # flags may correct the preset; what is still wrong is said when the whole sweep is built
        try:
            _check_options(values, sweep)
        except ValueError as error:
            raise ValueError(f"--preset {name}: {error}") from error


def lost_effects(given: Mapping[str, Any], preset_name: str, preset: Preset, sweep: Sweep) -> tuple[str, ...]:
    """A line for each value without effect that no flag gives, or that has an effect in a part of the cells only.

    Args:
        given: value of each given flag.
        preset_name: name of the preset.
        preset: its content.
        sweep: the sweep of the preset with the flags.
    """
    lines = [*_beyond_limits(given, preset_name, preset, sweep)]
    lines += [*_lacking_needs(given, preset_name, preset)] if sweep.rerun is None else []
    return tuple(dict.fromkeys(f"Note{line}" for line in lines))


def _beyond_limits(given: Mapping[str, Any], preset_name: str, preset: Preset, sweep: Sweep) -> Iterator[str]:
    protocol = sweep.protocol
    cells = [entry.cell for entry in sweep.entries]
    for find, names in LIMITS.items():
        of_preset = [name for name in names if name in preset.own_protocol or _in_grids(name, preset)]
        if not AT_MOST.isdisjoint(names) and not any(name in given or name in of_preset for name in names):
            continue
        problems = [(problem, cell) for cell in cells if (problem := find(cell, protocol))]
        found = Counter((problem, _values(names, cell, protocol)) for problem, cell in problems)
        inherited = f" (sweep {sweep.rerun.sweep})" if sweep.rerun else " (default)"
        source = "" if set(names) & given.keys() else f" (preset {preset_name})" if of_preset else inherited
        for (problem, values), count in found.items():
            part = "" if count == len(cells) else f" for {count} of {len(cells)} cells"
            yield f"{part}: {values}{source}: {problem}"


def _lacking_needs(given: Mapping[str, Any], preset_name: str, preset: Preset) -> Iterator[str]:
    """The preset's values that need an option that a flag has taken away."""
    overrides = {name: value for name, value in given.items() if name in OPTION_FIELDS}
    protocol = {name: value for name, value in given.items() if name in ProtocolOptions.model_fields}
    for grid in preset.grids:
        foreign = not set(overrides.get("method", ())) <= set(grid.methods)  # such a method has an attack of its own
        kept = [
            name
            for name in grid.options.keys() & NEEDS.keys() - overrides.keys()
            if not (foreign and OPTION_OWNER[name] in ATTACK_PARTS)
        ]
        if not kept or not overrides:
            continue
        try:
            sweep = build_sweep(
                _only(preset, grid),
                preset_name=preset_name,
                name="preset",
                cell_overrides=overrides,
                protocol_overrides=protocol,
                seeds=1,
            )
        except ValueError:
            continue  # the flags are valid for all grids together
        cells = [entry.cell.flat() for entry in sweep.entries]
        for name in sorted(kept):
            has_effect, need = NEEDS[name]
            having = [cell for cell in cells if name in cell]
            if having and not any(map(has_effect, having)):
                yield f": {_written(name, grid.options[name])} (preset {preset_name}): needs {need}"


def _in_grids(name: str, preset: Preset) -> bool:
    return any(name in grid.options for grid in preset.grids)


def _values(names: Iterable[str], cell: Cell, protocol: ProtocolOptions) -> str:
    """The values of these options in a cell or in the protocol, as they are written on the command line."""
    known = {**protocol.model_dump(), **cell.flat()}
    return " ".join(_written(name, known[name]) for name in names if known.get(name) is not None)


def _parts(preset: Preset) -> Iterator[tuple[Mapping[str, Any], Preset]]:
    """The values whose effect may depend on others: of the protocol, and of each grid with the preset of it alone."""
    parts = [(preset.own_protocol, preset), *((grid.options, _only(preset, grid)) for grid in preset.grids)]
    return ((values, part) for values, part in parts if values.keys() & {*LIMITED, *NEEDS})


def _only(preset: Preset, grid: Grid) -> Preset:
    return preset.model_copy(update={"grids": (grid,)})


def _check_options(given: Mapping[str, Any], sweep: Sweep) -> None:
    """Refuse the first given option of a cell or of the protocol that has no effect in any cell."""
    cells = [entry.cell for entry in sweep.entries]
    options = [cell.flat() for cell in cells]
    for name, (has_effect, need) in NEEDS.items():
        if name in given and not any(has_effect(cell) for cell in options if name in cell):
            raise ValueError(f"{_written(name, given[name])}: needs {need}")
    for find, names in LIMITS.items():
        if find in ONLY_SAID:
            continue
        problems = dict.fromkeys(find(cell, sweep.protocol) for cell in cells)
        for name in names:
            if name in given and None not in problems:
                raise ValueError(f"{_written(name, given[name])}: {'; '.join(map(str, [*problems][:MAX_SHOWN]))}")


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _written(name: str, value: Any) -> str:
    return f"{_flag(name)} {shown_value(name, value)}"
