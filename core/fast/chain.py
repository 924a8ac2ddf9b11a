"""A chain of convolutions, ReLUs and linear layers on tiny images, as matrix products on a CPU.

oneDNN's backward-by-data runs at a tenth of the CPU's rate when channels are few and images a few pixels wide, and
autograd's bookkeeping costs as much as the arithmetic. The matrix of a whole convolution has more multiplications, but
a matrix product runs at the full rate.

Only networks on images of about 8x8 pixels on a CPU use this: the data sets ``fields`` and ``digits``, and with them
the ``quick`` preset. Torch's convolutions remain on all GPUs, and where the matrix would exceed `MAX_MATRIX_ENTRIES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from core.fast.placement import MAX_MATRIX_ENTRIES, Band, Placement, Size, place

WHOLE: Band = (slice(None), slice(None))
"""The block that is the whole matrix."""

LAYERS = (nn.Conv2d, nn.Linear, nn.ReLU, nn.Flatten, nn.Dropout, nn.Identity)
"""Classes of the layers of a chain."""


class Layer:
    """An affine map of feature vectors, computed by blocks of its matrix, and a ReLU after it if ``activated``."""

    def __init__(self, matrix: Tensor, bias: Tensor, bands: Sequence[Band]) -> None:
        self.matrix, self.bias, self.activated = matrix, bias, False
        self.blocks = [(rows, columns, matrix[rows, columns], bias[rows]) for rows, columns in bands]

    def forward(self, x: Tensor) -> Tensor:
        """``[n, inputs]`` to ``[n, outputs]``."""
        x = x.to(self.matrix.dtype)
        if len(self.blocks) == 1:
            y = torch.addmm(self.bias, x, self.matrix.t())
        else:
            y = x.new_empty(len(x), len(self.matrix))
            for rows, columns, block, bias in self.blocks:
                torch.addmm(bias, x[:, columns], block.t(), out=y[:, rows])
        return y.relu_() if self.activated else y

    def backward(self, gradient: Tensor, output: Tensor) -> Tensor:
        """Gradient with respect to the input, ``[n, inputs]``, from that with respect to the ``output``."""
        gradient = gradient.to(output.dtype)
        if self.activated:
            gradient = torch.ops.aten.threshold_backward(gradient, output, 0)
        if len(self.blocks) == 1:
            return gradient @ self.matrix
        result = gradient.new_zeros(len(gradient), self.matrix.shape[1])
        for rows, columns, block, _ in self.blocks:
            result[:, columns].addmm_(gradient[:, rows], block)
        return result


class Chain:
    """Logits and image gradients of a network without BatchNorm, for images of one size.

    Args:
        layers: layers that `chains` accepts, in the order of their application.
        size: channels, height and width of an image.
    """

    def __init__(self, layers: Sequence[nn.Module], size: Size) -> None:
        self.layers: list[Layer] = []
        self._convolutions: list[tuple[nn.Conv2d, Placement, Layer]] = []
        last = [layer for layer in layers if isinstance(layer, nn.Conv2d)][-1]
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                placed = place(layer, size, by_row=(bool(self.layers), layer is not last))
                matrix = layer.weight.new_zeros(math.prod(placed.size), math.prod(size))
                self.layers.append(Layer(matrix, matrix.new_zeros(len(matrix)), placed.bands))
                self._convolutions.append((layer, placed, self.layers[-1]))
                size = placed.size
            elif isinstance(layer, nn.Linear):
                self.layers.append(Layer(layer.weight, layer.bias, [WHOLE]))
            elif isinstance(layer, nn.ReLU):
                self.layers[-1].activated = True
        self.refresh()

    def refresh(self) -> None:
        """Copy the convolutions' current weights into the matrices."""
        for convolution, placed, layer in self._convolutions:
            kernel = convolution.weight.contiguous().view(-1)
            layer.matrix.view(-1).index_copy_(0, placed.entries, kernel.index_select(0, placed.weights))
            if convolution.bias is not None:
                channels, height, width = placed.size
                shape = (height, channels, width) if placed.by_row else (channels, height * width)
                layer.bias.view(shape).copy_(convolution.bias[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """Images ``[n, C, H, W]`` to logits ``[n, classes]``."""
        y = x.flatten(1)
        for layer in self.layers:
            y = layer.forward(y)
        return y

    def image_gradient(self, x: Tensor, ascent: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Logits, and the gradient of the attack's objective with respect to ``x``.

        Args:
            x: images ``[n, C, H, W]``.
            ascent: returns the objective's gradient with respect to the logits, ``[n, classes]``.
        """
        outputs = [x.flatten(1)]
        for layer in self.layers:
            outputs.append(layer.forward(outputs[-1]))
        gradient = ascent(outputs[-1])
        for layer, output in zip(self.layers[::-1], outputs[:0:-1], strict=True):
            gradient = layer.backward(gradient, output)
        return outputs[-1], gradient.to(x.dtype).view(x.shape)


def chains(layers: Sequence[nn.Module], x: Tensor) -> bool:
    """True if these layers, applied one after the other, form a `Chain` that is faster on images like ``x``.

    A chain has convolutions first, then linear layers; between them ReLUs, dropout and flattening. Layers of classes
    that are derived from torch's form no chain, because they may compute something else.
    """
    if x.device.type != "cpu" or not layers or type(layers[0]) is not nn.Conv2d:
        return False
    if not all(type(layer) in LAYERS for layer in layers):
        return False
    size: Size = (x.shape[1], x.shape[2], x.shape[3])
    flat = False
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
            if flat or not plain or isinstance(layer.padding, str):
                return False
            after = place(layer, size, (False, False)).size
            if math.prod(size) * math.prod(after) > MAX_MATRIX_ENTRIES:
                return False
            size = after
        elif isinstance(layer, nn.Linear):
            if not flat or layer.bias is None:
                return False
        elif isinstance(layer, nn.Flatten):
            flat = True
    return flat
