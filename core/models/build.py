"""Networks by the name of their architecture, with seeded initial weights."""

from __future__ import annotations

from pkgutil import resolve_name

import torch
from torch import nn

from core.config import ModelOptions, Shape
from core.config.models import find_model


def build_model(options: ModelOptions, shape: Shape, seed: int) -> nn.Module:
    """A float32 network on the CPU, in train mode: images in [0, 1] to logits [N, classes].

    The network does not normalise its input. Weights are a function of the arguments: the same seed gives the same
    bits, and the global RNGs stay unchanged. For comparison with published results, weights are initialised as in the
    reference code: by torch's defaults, except for WRN (see `wide_resnet`).
    """
    spec, numbers = find_model(options.model)
    builder = resolve_name(spec.builder)
    # Not torch.manual_seed, which would also seed every CUDA device.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network: nn.Module = builder(*numbers, shape, options.norm)
        return network
