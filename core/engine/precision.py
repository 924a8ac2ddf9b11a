"""Number formats of training: fp32, tf32, bf16, or fp16 with loss scaling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from core.attacks.float32 import TENSOR_FLOATS, float32_products


def check_capability(name: str, capability: tuple[int, int], gpu: str) -> None:
    """Raise ValueError if a GPU of this compute capability does not have the number format."""
    if name in ("tf32", "bf16") and capability < TENSOR_FLOATS:
        raise ValueError(f"--precision {name} is impossible on a {gpu}; allowed are fp32 and fp16")


class Precision:
    """Autocast and loss scaling of one trial.

    Args:
        name: ``fp32 | tf32 | bf16 | fp16``. tf32 changes only CUDA matrix products and convolutions; on a CPU
            it equals fp32.
        device: device of the network.

    Raises:
        ValueError: the GPU does not have the number format.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        if device.type == "cuda":
            check_capability(name, torch.cuda.get_device_capability(device), torch.cuda.get_device_name(device))
        self.name = name
        self.device = device
        dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
        self.dtype = dtypes.get(name)
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    def float32_products(self) -> AbstractContextManager[None]:
        """Context of training, in which CUDA's float32 products use TF32 or IEEE float32, as the name says."""
        return float32_products("tf32" if self.name == "tf32" else "ieee")

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Context of a training forward and of the inner attack.

        Enter a new context after each change of the weights, because autocast casts every weight once per context.
        """
        if self.dtype is None:
            yield
        else:
            with torch.autocast(self.device.type, dtype=self.dtype):
                yield
