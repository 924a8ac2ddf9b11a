"""The name of a sweep whose command line gives none: its preset, and the options that are given."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config import OPTION_FIELDS, ProtocolOptions

UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
MAX_LENGTH = 80
"""Characters of a default name. A longer one has a hash in place of its options."""


def default_name(preset: str, given: Mapping[str, Any]) -> str:
    """The name of a sweep of this preset with these flags, such as ``quick-beta-1-3`` or ``quick-no-stop``.

    Seeds, resources and paths are not part of the name, because they continue the same sweep.

    Args:
        preset: name or path of the preset; ``none`` has no default name, which is the empty text.
        given: values of the flags, by option: texts, tuples of texts, or True and False of a switch.
    """
    if preset == "none":
        return ""
    stem = Path(preset).stem
    changes = [spelled(name, given[name]).removeprefix("--").replace(" ", "-") for name in experiment_options(given)]
    name = UNSAFE.sub("_", "-".join([stem, *changes]))
    if changes and len(name) > MAX_LENGTH:
        return f"{UNSAFE.sub('_', stem)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


def experiment_options(given: Mapping[str, Any]) -> list[str]:
    """The options of cells and of the protocol among the flags."""
    return [name for name in [*OPTION_FIELDS, *ProtocolOptions.model_fields] if name in given]


def spelled(name: str, value: Any) -> str:
    """One option as it is written on the command line: ``--epsilon 8/255``, ``--no-stop``."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return " ".join([f"--{flag}", *(value if isinstance(value, tuple) else (value,))])
