"""What a trial is called within its sweep."""

from __future__ import annotations

from collections.abc import Mapping


def trial_key(cell_id: str, seed: int, pins: Mapping[str, int]) -> str:
    """``e5d2c27e7a51-3``; with pinned streams ``e5d2c27e7a51-3-init7-order7``: another trial."""
    return "-".join([cell_id, str(seed), *(f"{stream}{pinned}" for stream, pinned in sorted(pins.items()))])
