"""Estimates of a trial's cost before training: passes through the network, operations and device-seconds."""

from __future__ import annotations

from functools import cache

from core.config import Cell, ModelOptions, ProtocolOptions, Shape
from core.config.methods.base import IMAGE_BACKWARD
from core.config.passes import passes_per_batch
from core.config.protocol import BOUNDARY_POINTS

SECONDS_PER_PASS = 5e-4
"""Shortest time of a forward or backward of a whole network. In small networks the kernel launches dominate."""

VERDICT_CHECKPOINTS = 2
"""Checkpoints that a verdict measures: the selected and the last one. The gated one usually equals the selected one."""
VERDICT_BATCH = 512


def forwards_per_image(cell: Cell, protocol: ProtocolOptions) -> float:
    """Cost of one epoch, validation included, in forwards of one image per training image."""
    training = passes_per_batch(cell).in_forwards * cell.training.batch_size / cell.labelled_per_batch
    validation = (protocol.eval_steps + 2) * (1 + IMAGE_BACKWARD) + 1 + protocol.smoothness * BOUNDARY_POINTS
    return training + validation * cell.data.validation_images / cell.data.kept_images


def step_flop(cell: Cell) -> float:
    """Number of floating-point operations of a training step on a whole batch."""
    return passes_per_batch(cell).in_forwards * cell.training.batch_size * forward_flop(cell)


def forward_flop(cell: Cell) -> int:
    """Number of floating-point operations in the forward of one image. A multiply-add counts as two."""
    return _forward_flop(cell.model, cell.data.shape)


@cache
def _forward_flop(options: ModelOptions, shape: Shape) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from core.models import build_model

    model = build_model(options, shape, seed=0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, shape.channels, shape.image_size, shape.image_size))
    return counter.get_total_flops()


def verdict_forwards(protocol: ProtocolOptions) -> int:
    """Cost of the attacks on one checkpoint, in forwards of one image per attacked image.

    It is an upper bound: no image falls, and Square proposes no square twice, which it often does on 8x8 pixels.
    """
    steps = 1 + protocol.eval_steps + 50 * protocol.pgd50_restarts
    squares = 2 if protocol.both_squares else 1
    judged = 3 + squares + protocol.pgd50_restarts  # clean, FGSM, PGD-10, Square, and PGD-50 after each restart
    return steps * (1 + IMAGE_BACKWARD) + judged + squares * protocol.square_queries


def trial_flop(cell: Cell, protocol: ProtocolOptions) -> float:
    """Number of floating-point operations of a trial that trains to its last epoch, verdict included."""
    images = cell.training.epochs * cell.data.kept_images
    verdict = verdict_forwards(protocol) * _verdict_images(cell, protocol)
    return (forwards_per_image(cell, protocol) * images + verdict) * forward_flop(cell)


def seconds_per_epoch(cell: Cell, protocol: ProtocolOptions, device_tflops: float) -> float:
    """Device-seconds of an epoch at ``device_tflops`` sustained TFLOP/s, with its share of the verdict."""
    passes = cell.data.kept_images / cell.training.batch_size * forwards_per_image(cell, protocol)
    verdict_passes = _verdict_images(cell, protocol) / VERDICT_BATCH * verdict_forwards(protocol)
    passes += verdict_passes / cell.training.epochs
    return trial_flop(cell, protocol) / cell.training.epochs / (device_tflops * 1e12) + passes * SECONDS_PER_PASS


def _verdict_images(cell: Cell, protocol: ProtocolOptions) -> int:
    """Number of attacked images of all checkpoints."""
    return VERDICT_CHECKPOINTS * min(protocol.verdict_images, cell.data.tested_images or protocol.verdict_images)
