"""The name of a sweep whose command line gives none: its preset, and the options that are given."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.config import OPTION_FIELDS, ProtocolOptions, Sweep

UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
WHOLE = re.compile(r"[0-9]+(_[0-9]+)*")
MAX_LENGTH = 80
"""Characters of a default name. A longer one has a hash in place of its options."""


def default_name(preset: str, changes: Mapping[str, Any]) -> str:
    """The name of a sweep of this preset with these changes, such as ``quick-beta-1-3`` or ``quick-no-stop``.

    Seeds, resources and paths are not part of the name, because they continue the same sweep.

    Args:
        preset: name or path of the preset; ``none`` has no default name, which is the empty text.
        changes: see `changing_options`.
    """
    if preset == "none":
        return ""
    stem = Path(preset).stem
    words = [spelled(name, value).removeprefix("--").replace(" ", "-") for name, value in changes.items()]
    name = UNSAFE.sub("_", "-".join([stem, *words]))
    if words and len(name) > MAX_LENGTH:
        return f"{UNSAFE.sub('_', stem)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


def changing_options(
    given: Mapping[str, Any], sweep: Sweep, build: Callable[[Mapping[str, Any]], Sweep]
) -> dict[str, Any]:
    """The flags of cells and of the protocol without which the sweep would be another one, in a fixed order.

    A flag that repeats the preset's own value is left out.

    Args:
        given: values of the flags, by option: texts, tuples of texts, or True and False of a switch.
        sweep: the sweep with all these flags.
        build: the sweep with some of these flags; it raises ValueError if the others are impossible alone.
    """
    changes = {name: given[name] for name in [*OPTION_FIELDS, *ProtocolOptions.model_fields] if name in given}
    for name in list(changes):
        others = {other: value for other, value in changes.items() if other != name}
        try:
            same = _content(build(others)) == _content(sweep)
        except ValueError:
            same = False
        if same:
            changes = others
    return changes


def _content(sweep: Sweep) -> tuple[Any, ...]:
    """What the sweep trains and measures, whatever the order of its cells."""
    return {entry.cell.id: entry.seeds for entry in sweep.entries}, sweep.protocol


def spelled(name: str, value: Any) -> str:
    """One option as it is written on the command line: ``--epsilon 8/255``, ``--no-stop``."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return " ".join([f"--{flag}", *map(_plain, value if isinstance(value, tuple) else (value,))])


def _plain(word: str) -> str:
    """The word; a whole number without the zeros and underscores that do not change it: ``10`` for ``010``."""
    return str(int(word)) if WHOLE.fullmatch(word) else word
