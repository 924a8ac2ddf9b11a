"""The number format of all evaluations, and torch's settings of float32 products on a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch

_CUDNN: Any = torch.backends.cudnn
_BACKENDS: tuple[Any, ...] = (torch.backends.cuda.matmul, _CUDNN, _CUDNN.conv, _CUDNN.rnn)
"""Backends with a setting of their own, each after the one from which it inherits.

Before torch 2.12 the default of ``cudnn.conv`` and ``cudnn.rnn``, ``tf32``, was not changed by the setting of
``cudnn``. In any version a value that was set for ``cudnn.conv`` overrides that of ``cudnn``.
"""

TENSOR_FLOATS = (8, 0)
"""Least compute capability of a GPU with TF32 and bfloat16. On an older GPU, torch emulates bfloat16 very slowly."""


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Context in which computations use IEEE float32, without autocast and TF32. The settings are restored on exit.

    In fp16, gradients can underflow to 0, and a sign of 0 weakens an attack without a warning.
    """
    with float32_products("ieee"), torch.autocast(device.type, enabled=False):
        yield


@contextmanager
def float32_products(form: Literal["ieee", "tf32"]) -> Iterator[None]:
    """Context in which CUDA's float32 matrix products and convolutions use IEEE float32 or TF32.

    The settings hold for the whole process, and are restored on exit.
    """
    before = [backend.fp32_precision for backend in _BACKENDS]
    _set([form] * len(_BACKENDS))
    try:
        yield
    finally:
        _set(before)


def _set(forms: Sequence[str]) -> None:
    for backend, form in zip(_BACKENDS, forms, strict=True):
        # A value that is inherited already is not set, because a set value would no longer follow its backend.
        if backend.fp32_precision != form:
            backend.fp32_precision = form
