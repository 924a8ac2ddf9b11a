"""The conditions under which an option has an effect in a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.config import Cell, ProtocolOptions
from core.config.attack import HealOptions

MAX_IMAGE_BYTES = 10**12
"""Largest size of a generated data set. No machine that trains on it in memory holds more.

A sweep compares smaller sizes with the memory of its cluster's nodes, see `core.cluster.data_memory`."""
Limit = Callable[[Cell, ProtocolOptions], str | None]
"""Returns why options have no effect in a cell, which depends on their values; None if they have one."""


def _alarm(cell: Cell, protocol: ProtocolOptions) -> str | None:
    epochs, first = cell.training.epochs, protocol.fosc_grace + protocol.fosc_patience
    if first <= epochs:
        return None
    return (
        f"an alarm is possible from epoch {first} on (--fosc-grace {protocol.fosc_grace} and --fosc-patience "
        f"{protocol.fosc_patience}), and training has {epochs} epochs"
    )


def _milestones(cell: Cell, protocol: ProtocolOptions) -> str | None:
    epochs, last = cell.training.epochs, max(cell.training.milestones, default=0)
    if last < epochs:
        return None
    return f"nothing is trained after epoch {last}, because training has {epochs} epochs"


def _audit(cell: Cell, protocol: ProtocolOptions) -> str | None:
    return None if protocol.stop or not protocol.audit else "has no effect with --no-stop"


def _verdict_images(cell: Cell, protocol: ProtocolOptions) -> str | None:
    images = cell.data.test_images
    if images is None or protocol.verdict_images <= images:
        return None
    return f"the test set has {images} images"


def _verdict_images_of_files(cell: Cell, protocol: ProtocolOptions) -> str | None:
    images = None if cell.data.test_images is not None else cell.data.tested_images
    if images is None or protocol.verdict_images <= max(images, cell.data.validation_images):
        return None  # alarms are confirmed on validation images
    return f"the test set has {images} images"


def _sizes(cell: Cell, protocol: ProtocolOptions) -> str | None:
    size = cell.data.generated_values
    if size <= MAX_IMAGE_BYTES:
        return None
    return f"the generated images would take {size / 1e12:.3g} TB of memory; allowed is {MAX_IMAGE_BYTES / 1e12:g} TB"


LIMITS: dict[Limit, tuple[str, ...]] = {
    _alarm: ("fosc_patience", "fosc_grace"),
    _milestones: ("milestones",),
    _audit: ("audit",),
    _verdict_images: ("verdict_images",),
    _verdict_images_of_files: ("verdict_images",),
    _sizes: ("train_images", "image_size", "channels", "test_images"),
}
"""The options that each limit is about."""
ONLY_SAID = frozenset({_verdict_images_of_files})
"""Limits that are no errors, because earlier versions have stored sweeps beyond them, which must continue."""
AT_MOST = frozenset({"verdict_images"})
"""Options whose default is an upper bound, which a smaller data set does not contradict."""


def _perturbs(options: Mapping[str, Any]) -> bool:
    return bool(options["awp_radius"] or options["rwp_radius"])


NEEDS: dict[str, tuple[Callable[[Mapping[str, Any]], bool], str]] = {
    **dict.fromkeys(
        (name for name in HealOptions.model_fields if name != "heal"),
        (lambda options: options["heal"] != "none", "--heal fosc"),
    ),
    "rademacher_share": (lambda options: options["attack_start"] == "rademacher", "--attack-start rademacher"),
    "awp_warmup": (_perturbs, "--awp-radius or --rwp-radius above 0"),
    "lr_decay": (lambda options: options["schedule"] == "step", "--schedule step"),
    "reweighting_shift": (lambda options: options["reweighting"] != "discrete", "--reweighting tanh or sigmoid"),
    "guidance_begin": (lambda options: options["guidance_factor"] != 1, "a --guidance-factor other than 1"),
    "guidance_factor": (lambda options: options["guidance_begin"] != 1, "--guidance-begin below 1"),
    "tau_every": (lambda options: options["tau_begin"] != 1, "--tau-begin below 1"),
    **dict.fromkeys(("adv_at", "clean_at"), (_perturbs, "--awp-radius or --rwp-radius above 0")),
    **dict.fromkeys(
        ("smooth_distance", "smooth_weights"), (lambda options: options["smooth"] != 0, "--smooth above 0")
    ),
    "linearity_form": (lambda options: options["linearity"] != 0, "--linearity above 0"),
}
"""Options of a cell that have an effect only beside another one: the condition on the cell's options, and its name."""
