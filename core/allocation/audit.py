"""The audit arm: a random share of trials that run to their end even if the detector raises an alarm."""

from __future__ import annotations

import hashlib


def is_audited(sweep: str, cell_id: str, seed: int, share: float) -> bool:
    """True if the trial belongs to the audit arm.

    The answer is known before the trial starts, is the same at every restart, and is independent of the trial's random
    numbers. A trial is audited with probability `share`: if the first 53 bits of a SHA-256 of its identity, read as a
    fraction, are below `share`. A larger share therefore audits all trials of a smaller share, and further ones.

    Raises:
        ValueError: `share` is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"audit {share} must be between 0 and 1")
    digest = hashlib.sha256(f"audit\0{sweep}\0{cell_id}\0{seed}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53 < share
