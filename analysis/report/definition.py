"""The definition of an unstable trial in words, with the thresholds of a sweep's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.verdict import DETECTORS


def unstable_definition(protocol: Mapping[str, Any]) -> str:
    """When the protocol calls a trial unstable at its end, and when its alarm is on."""
    pgd = f"PGD-{protocol['eval_steps']}"
    detector = DETECTORS[protocol.get("detector", "fosc")].title
    threshold = protocol.get("detector_threshold")
    threshold = protocol["fosc_threshold"] if threshold is None else threshold
    square = "AutoAttack's Square" if protocol.get("square") == "autoattack" else "Square"
    patience, grace = protocol["fosc_patience"], protocol["fosc_grace"]
    epochs = f"{patience} epochs in a row" if patience > 1 else "an epoch"
    return (
        f"A trial is unstable at its end if the {pgd} accuracy of its selected or its last checkpoint is at least "
        f"{100 * protocol['overestimation_gap']:g} points above the accuracy under {square} "
        f"({protocol['square_queries']} queries), if the FGSM accuracy is at least "
        f"{100 * protocol['catastrophic_gap']:g} points above the {pgd} accuracy (catastrophic overfitting), or if the "
        "alarm is still on. It is unstable at any time if it is unstable at its end, or if the alarm was ever on. The "
        f"alarm goes on after {epochs} with {detector} above {threshold:g}"
        + (
            f"; the first {grace} epochs do not count."
            if grace > 1
            else "; the first epoch does not count."
            if grace
            else "."
        )
    )
