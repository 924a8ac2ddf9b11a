"""The key of a trial, which identifies it within its sweep."""

from __future__ import annotations

from collections.abc import Mapping


def trial_key(cell_id: str, seed: int, pins: Mapping[str, int]) -> str:
    """The trial's key: ``e5d2c27e7a51-3``, or ``e5d2c27e7a51-3-init7-order7`` for a trial with pinned streams."""
    return "-".join([cell_id, str(seed), *(f"{stream}{pinned}" for stream, pinned in sorted(pins.items()))])
