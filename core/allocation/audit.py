"""The audit arm: trials that run to their end whatever the detector says."""

from __future__ import annotations

import hashlib


def is_audited(sweep: str, cell_id: str, seed: int, share: float) -> bool:
    """Is this trial in the audit arm? Known before it starts, the same at every restart, independent of all its draws.

    A trial is audited with probability `share`: the first 53 bits of a SHA-256 of its identity, as a fraction, are
    below `share`. So a larger share keeps the trials that a smaller one audits.

    Raises:
        ValueError: `share` is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"audit {share} must be between 0 and 1")
    digest = hashlib.sha256(f"audit\0{sweep}\0{cell_id}\0{seed}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53 < share
