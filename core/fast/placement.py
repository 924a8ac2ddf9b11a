"""Positions of a convolution's kernel entries in the matrix of the same linear map, for `core.fast.chain`."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_MATRIX_ENTRIES = 2**18
"""Entries of the matrix above which torch's convolution is faster (1 MB in float32, the size of an L2 cache)."""
MAX_DENSE_ENTRIES = 2**16
"""Entries above which the matrix is multiplied in blocks, one per image row, which skips most of its zeros."""

Size = tuple[int, int, int]
"""Channels, height, width."""
Pair = tuple[int, int]
Band = tuple[slice, slice]
"""Rows and columns of a block of the matrix."""


class Placement(NamedTuple):
    """The matrix ``[output features, input features]`` of a convolution.

    Between convolutions, features are ordered by image row (height, channel, width), so that the features of a few
    image rows form one block. Other features are ordered as in torch (channel, height, width).

    Attributes:
        size: size of the output.
        by_row: True if the output's features are ordered by image row.
        entries: ``[k]``, indices of the nonzero entries in the flat matrix.
        weights: ``[k]``, index in the flat kernel of the weight at each of these entries.
        bands: blocks of the matrix; all entries outside of them are 0.
    """

    size: Size
    by_row: bool
    entries: Tensor
    weights: Tensor
    bands: tuple[Band, ...]


def place(convolution: nn.Conv2d, size: Size, by_row: tuple[bool, bool]) -> Placement:
    """The placement of a convolution on images of ``size``.

    ``by_row`` tells whether the features of the input and of the output are ordered by image row.
    """
    return _place(tuple(convolution.weight.shape), convolution.stride, convolution.padding, size, by_row)


@cache
def _place(kernel: tuple[int, ...], stride: Pair, padding: Pair, size: Size, by_row: tuple[bool, bool]) -> Placement:
    outputs, inputs, *window = kernel
    _, height, width = size
    # Unfolding pixel numbers (from 1) gives the pixel that each output position reads at each place of the window.
    numbers = torch.arange(1.0, height * width + 1).view(1, 1, height, width)
    seen = F.unfold(numbers, (window[0], window[1]), padding=padding, stride=stride)[0].long() - 1
    rows = (height + 2 * padding[0] - window[0]) // stride[0] + 1
    after: Size = (outputs, rows, seen.shape[1] // rows)
    tap, position = (seen >= 0).nonzero(as_tuple=True)
    out_channel, in_channel = torch.arange(outputs)[:, None, None], torch.arange(inputs)[None, :, None]
    row = _feature(out_channel, position, after, by_row[1])
    column = _feature(in_channel, seen[tap, position], size, by_row[0])
    weights = (out_channel * inputs + in_channel) * len(seen) + tap
    bands: list[Band] = [(slice(0, math.prod(after)), slice(0, math.prod(size)))]
    if all(by_row) and math.prod(after) * math.prod(size) > MAX_DENSE_ENTRIES:
        above, below = inputs * width, outputs * after[2]
        bands = []
        for i in range(rows):
            first = i * stride[0] - padding[0]
            columns = slice(max(first, 0) * above, min(first + window[0], height) * above)
            bands.append((slice(i * below, (i + 1) * below), columns))
    return Placement(after, by_row[1], (row * math.prod(size) + column).flatten(), weights.flatten(), tuple(bands))


def _feature(channel: Tensor, pixel: Tensor, size: Size, by_row: bool) -> Tensor:
    channels, height, width = size
    if not by_row:
        return channel * (height * width) + pixel
    return (pixel // width * channels + channel) * width + pixel % width
