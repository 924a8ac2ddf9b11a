"""What one trial costs, in passes through its network, operations and device-seconds, before it is trained."""

from __future__ import annotations

from functools import cache

from core.config import Cell, ModelOptions, ProtocolOptions, Shape

BACKWARD = 2
"""A full backward costs about two forwards: gradients of the activations and of the weights."""
INPUT_BACKWARD = 1
"""A backward to the images alone costs about one forward."""
SECONDS_PER_PASS = 5e-4
"""What a forward or backward of a whole network takes at least, however small it is: launching its operations."""


def forwards_per_image(cell: Cell, protocol: ProtocolOptions) -> float:
    """Cost of one epoch, in forwards of one image per training image, validation included."""
    step = cell.method.step_passes(cell.attack, perturbs_weights=cell.awp.awp_radius > 0)
    training = step.forwards + INPUT_BACKWARD * step.image_backwards + BACKWARD * step.weight_backwards
    validation = (protocol.eval_steps + 2) * (1 + INPUT_BACKWARD) + 1
    return training + validation * cell.data.validation_images / cell.data.kept_images


def forward_flop(cell: Cell) -> int:
    """Floating-point operations of one image's forward; a multiply-add counts as two."""
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


def trial_flop(cell: Cell, protocol: ProtocolOptions) -> float:
    """Floating-point operations of a trial that runs to its end, verdicts left out."""
    images = cell.training.epochs * cell.data.kept_images
    return forwards_per_image(cell, protocol) * images * forward_flop(cell)


def seconds_per_epoch(cell: Cell, protocol: ProtocolOptions, device_tflops: float) -> float:
    """Device-seconds of an epoch at ``device_tflops`` TFLOP/s sustained, verdicts left out."""
    passes = cell.data.kept_images / cell.training.batch_size * forwards_per_image(cell, protocol)
    return trial_flop(cell, protocol) / cell.training.epochs / (device_tflops * 1e12) + passes * SECONDS_PER_PASS
