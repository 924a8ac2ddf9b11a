"""Flags and values of presets that are valid one by one, but that can change nothing in their sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.allocation import AllocationGoal
from core.command.sweep_flags import PlanOptions
from core.config import Sweep
from core.config.attack import HealOptions
from core.config.preset import Grid, Preset, build_sweep

GOALS = ("until_width", "until_decided", "max_trials", "max_device_hours")
GOAL_DETAILS = tuple(name for name in AllocationGoal.model_fields if name != "max_device_hours")
"""Options that only an adaptive sweep has. A sweep of fixed seeds has a budget, too."""
MAX_IMAGE_BYTES = 10**12
"""Largest size of a generated data set. No machine that trains on it in memory holds more."""


def check_effects(given: Mapping[str, Any], sweep: Sweep, goal: AllocationGoal | None, plan: bool) -> None:
    """Refuse the first given flag without effect.

    Args:
        given: value of each given flag.
        sweep: the sweep that the flags describe.
        goal: the goal of an adaptive sweep; None if the number of seeds is fixed.
        plan: whether a forecast is asked for.

    Raises:
        ValueError: a flag can change nothing. The message says what it needs.
    """
    for name, reason in (
        *((name, "needs --plan") for name in PlanOptions.model_fields if not plan),
        *((name, f"needs {' or '.join(map(_flag, GOALS))}") for name in GOAL_DETAILS if goal is None),
    ):
        if name in given:
            raise ValueError(f"{_flag(name)} {_shown(given[name])}: {reason}")
    _check_options(given, sweep)
    if goal and goal.max_trials is not None and goal.max_trials < len(sweep.entries):
        raise ValueError(
            f"--max-trials {goal.max_trials}: the sweep has {len(sweep.entries)} cells, which need one each"
        )


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
    if preset.earlier:
        return
    parts = [(preset.own_protocol, preset), *((grid.options, _only(preset, grid)) for grid in preset.grids)]
    for values, part in parts:
        if not values.keys() & {*_CHECKS, *_NEEDS}:
            continue
        try:
            sweep = build_sweep(part, preset_name=name, name="preset", cell_overrides={}, protocol_overrides={})
        except ValueError:
            continue  # flags may correct the preset; what is still wrong is said when the whole sweep is built
        try:
            _check_options(values, sweep)
        except ValueError as error:
            raise ValueError(f"--preset {name}: {error}") from error


def _only(preset: Preset, grid: Grid) -> Preset:
    return preset.model_copy(update={"grids": (grid,)})


def _check_options(given: Mapping[str, Any], sweep: Sweep) -> None:
    """Refuse the first given option of a cell or of the protocol without effect."""
    cells = [entry.cell.flat() for entry in sweep.entries]
    for name, (has_effect, need) in _NEEDS.items():
        if name in given and not any(has_effect(cell) for cell in cells if name in cell):
            raise ValueError(f"{_flag(name)} {_shown(given[name])}: needs {need}")
    for name, find in _CHECKS.items():
        if name in given and (problem := find(sweep)):
            raise ValueError(f"{_flag(name)} {_shown(given[name])}: {problem}")


def _alarm(sweep: Sweep) -> str | None:
    epochs = _epochs(sweep)
    protocol = sweep.protocol
    first = protocol.fosc_grace + protocol.fosc_patience
    if first <= epochs:
        return None
    return (
        f"an alarm is possible from epoch {first} on (--fosc-grace {protocol.fosc_grace} and --fosc-patience "
        f"{protocol.fosc_patience}), and training has {epochs} epochs"
    )


def _milestones(sweep: Sweep) -> str | None:
    last = max(max(entry.cell.training.milestones, default=0) for entry in sweep.entries)
    if last < _epochs(sweep):
        return None
    return f"nothing is trained after epoch {last}, because training has {_epochs(sweep)} epochs"


def _audit(sweep: Sweep) -> str | None:
    return None if sweep.protocol.stop or not sweep.protocol.audit else "has no effect with --no-stop"


def _verdict_images(sweep: Sweep) -> str | None:
    sizes = [entry.cell.data.test_images for entry in sweep.entries]
    most = max(size for size in sizes if size is not None) if None not in sizes else None
    if most is None or sweep.protocol.verdict_images <= most:
        return None
    return f"the test set has {most} images"


def _train_images(sweep: Sweep) -> str | None:
    size = max(entry.cell.data.generated_values for entry in sweep.entries)
    if size <= MAX_IMAGE_BYTES:
        return None
    return f"the generated images would take {size / 1e12:.3g} TB of memory; allowed is {MAX_IMAGE_BYTES / 1e12:g} TB"


_CHECKS: dict[str, Callable[[Sweep], str | None]] = {
    "fosc_patience": _alarm,
    "fosc_grace": _alarm,
    "milestones": _milestones,
    "audit": _audit,
    "verdict_images": _verdict_images,
    **dict.fromkeys(("train_images", "image_size", "channels", "test_images"), _train_images),
}


def _perturbs(options: Mapping[str, Any]) -> bool:
    return bool(options["awp_radius"] or options["rwp_radius"])


_NEEDS: dict[str, tuple[Callable[[Mapping[str, Any]], bool], str]] = {
    **dict.fromkeys(
        (name for name in HealOptions.model_fields if name != "heal"),
        (lambda options: options["heal"] != "none", "--heal fosc"),
    ),
    "rademacher_share": (lambda options: options["attack_start"] == "rademacher", "--attack-start rademacher"),
    "awp_warmup": (_perturbs, "--awp-radius or --rwp-radius above 0"),
    "lr_decay": (lambda options: options["schedule"] == "step", "--schedule step"),
    "reweighting_shift": (lambda options: options["reweighting"] != "discrete", "--reweighting tanh or sigmoid"),
    "guidance_begin": (lambda options: options["guidance_factor"] != 1, "a --guidance-factor other than 1"),
    "guidance_factor": (lambda options: options["guidance_begin"] != 1, "--guidance-begin below 1"),
    "tau_every": (lambda options: options["tau_begin"] != 1, "--tau-begin below 1"),
    **dict.fromkeys(("adv_at", "clean_at"), (_perturbs, "--awp-radius or --rwp-radius above 0")),
    **dict.fromkeys(
        ("smooth_distance", "smooth_weights"), (lambda options: options["smooth"] != 0, "--smooth above 0")
    ),
    "linearity_form": (lambda options: options["linearity"] != 0, "--linearity above 0"),
}
"""Options of a cell that have an effect only beside another one: the condition on the cell's options, and its name."""


def _epochs(sweep: Sweep) -> int:
    return max(entry.cell.training.epochs for entry in sweep.entries)


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
