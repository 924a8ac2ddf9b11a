"""The words of the sweep command's line: its flags, and the plug-ins and the preset that they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from core.command.default_name import default_name
from core.command.help_page import HelpPage
from core.command.parser import parse_known, refuse_unknown, split_options
from core.command.sweep_flags import MOST_USED, check_unique, sweep_groups, with_values
from core.config import OPTION_FIELDS, EarlierTrials, Preset, ProtocolOptions, load_preset, validated
from core.config.default_paths import storage_root
from core.config.names import checked_name
from core.config.plugins import Plugin, PluginError, load_plugin

DEFAULT_PRESET = "quick"
WORDS = ("plugin", "where", "pin_seed")
"""Flags of several words, of which none may be there twice. The values of cells are compared as numbers."""
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


class CommandLine(NamedTuple):
    """The flags of a sweep, and what they name."""

    given: dict[str, Any]
    """Value of each given flag."""
    plugins: dict[str, Plugin]
    """The loaded plug-ins of ``--plugin`` by the word that names them."""
    preset_name: str
    preset: Preset
    trials: EarlierTrials | None
    """The trials of an earlier sweep that are trained again; None: there are none."""
    storage: str
    """Storage as an absolute folder or a URI."""


def read_command_line(args: Sequence[str], presets: Path, about: str) -> CommandLine:
    """Read the flags. The options of plug-ins are flags, too, so that plug-ins are loaded in between.

    ``--help`` prints its page and ends the program.

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
    for name in WORDS:
        for word, count in Counter(given.get(name, ())).items():
            if count > 1:
                raise ValueError(f"--{name.replace('_', '-')} {' '.join(given[name])}: {word} is there twice")
    return CommandLine(given, plugins, preset_name, preset, trials, storage)


def _load_plugins(given: Iterable[str]) -> dict[str, Plugin]:
    """Load the plug-ins of ``--plugin``. Their options become flags."""
    found = {}
    for name in given:
        try:
            found[name] = load_plugin(name)
        except PluginError as error:
            raise ValueError(f"--plugin {name}: {error}") from error
    return found


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
