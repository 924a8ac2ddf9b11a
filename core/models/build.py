"""Architectures by name, with seeded initial weights."""

from __future__ import annotations

import torch
from torch import nn

from core.config import ModelOptions, Shape
from core.config.model import WIDE_RESNET
from core.models.resnet import preact_resnet18, resnet18, wide_resnet
from core.models.small_cnn import SmallCnn


def build_model(options: ModelOptions, shape: Shape, seed: int) -> nn.Module:
    """A float32 network on the CPU, in train mode: images in [0, 1] to logits [N, classes].

    It has no layer that normalises its input. Weights are a function of the arguments: the same seed gives the same
    bits, and the global RNGs stay as they are. Initialisation is that of the reference code, so that published results
    compare: torch's defaults, except for WRN (see `wide_resnet`).
    """
    # Not torch.manual_seed, which would also seed every CUDA device.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _architecture(options, shape)


def _architecture(options: ModelOptions, shape: Shape) -> nn.Module:
    match options.model:
        case "small-cnn":
            return SmallCnn(shape, options.norm)
        case "resnet18":
            return resnet18(shape, options.norm)
        case "preact-resnet18":
            return preact_resnet18(shape, options.norm)
    wide = WIDE_RESNET.fullmatch(options.model)
    assert wide
    return wide_resnet(int(wide[1]), int(wide[2]), shape, options.norm)
