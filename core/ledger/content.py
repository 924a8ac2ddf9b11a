"""The content of ``sweep.json`` for a sweep that is about to run."""

from __future__ import annotations

from typing import Any

from core.config import Sweep
from core.ledger.description import SweepDescription
from core.ledger.plugins import plugins_in


def content_of(sweep: Sweep) -> dict[str, Any]:
    """The content for a sweep of which nothing is stored, without its plan of seeds."""
    return {
        "name": sweep.name,
        "preset": sweep.preset,
        "protocol": sweep.protocol.model_dump(mode="json"),
        "rerun": sweep.rerun.model_dump(mode="json", exclude={"counterparts"}) if sweep.rerun else {},
        "pin_groups": [{str(stream): seed for stream, seed in pins.items()} for pins in sweep.pin_groups],
        "counterparts": sweep.rerun.counterparts if sweep.rerun else {},
        **_plugins({name: plugin.version for name, plugin in plugins_in(sweep).items()}),
        "cells": {entry.cell.id: entry.cell.flat() for entry in sweep.entries},
    }


def merged(known: SweepDescription, new: dict[str, Any]) -> dict[str, Any]:
    """The content for a sweep that is stored already: its cells, plug-ins and groups of pinned seeds, and new ones."""
    return {
        **{name: new[name] for name in ("name", "preset", "protocol", "rerun")},
        "pin_groups": max(known.pin_groups, new["pin_groups"], key=len),
        "counterparts": {**known.counterparts, **new["counterparts"]},
        **_plugins({**known.plugins, **new.get("plugins", {})}),
        "cells": {**known.cells, **new["cells"]},
    }


def _plugins(versions: dict[str, str]) -> dict[str, Any]:
    """The entry of the plug-ins, which a sweep without plug-ins does not have."""
    return {"plugins": versions} if versions else {}
