"""Records without what a clock, a machine or a kill decides."""

from __future__ import annotations

from typing import Any

BY_CHANCE = (
    *("device_seconds", "lost_device_seconds", "epoch_device_seconds"),
    *("attempts", "provenance", "took_part", "sha256"),
)
"""Fields of a record that depend on the clock, the machine or the number of attempts, and the checksum over them."""


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """A record in JSON types without the fields `BY_CHANCE` and without the seconds of its epochs."""
    kept = {name: value for name, value in record.items() if name not in BY_CHANCE}
    kept["trace"] = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in record["trace"]]
    return kept
