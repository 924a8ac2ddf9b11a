"""A pretend GPU: tensors of the CPU that carry a logical device, so that code for a GPU can run without one.

A tensor that is created on ``cuda``, moved there, or computed from such a tensor is *on the GPU*. Mixing it with a
tensor on the CPU, or drawing for one device with a generator of the other, is an error as on a real GPU. Kernel
launches are counted, and every point at which the CPU would wait for the GPU is noted.

What it cannot show: real kernels, their speed and rounding, memory, streams, NCCL, and autocast's lists for CUDA.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MIXING = {"copy_", "_to_copy", "index", "index_put_", "_index_put_impl_", "_foreach_copy_"}
"""Kernels that take tensors of both devices; the first one decides where the result is."""
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2"}
"""Kernels for which the CPU waits."""
READING = (Tensor.tolist, Tensor.item, Tensor.numpy, Tensor.__bool__, Tensor.__float__, Tensor.__int__)
CORE = str(Path(__file__).parents[1] / "core")


class Generator(torch.Generator):
    """A generator of the CPU that says that it belongs to ``device``."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        generator = super().__new__(cls, "cpu")
        generator.logical = torch.device(device)
        return generator

    @property
    def device(self) -> torch.device:
        """The logical device."""
        return self.logical


class PretendGpu:
    """The storages on the GPU, the launches and names of kernels, and the places in `core` where the CPU waited."""

    def __init__(self) -> None:
        self.launches = 0
        self.kernels: set[str] = set()
        self.waits: list[str] = []
        self._storages: dict[int, StorageWeakRef] = {}

    def holds(self, tensor: Tensor) -> bool:
        """True if the tensor is on the GPU."""
        return self._key(tensor) in self._storages

    def take(self, tensor: Tensor) -> Tensor:
        """Put the tensor's storage on the GPU."""
        # While a weak reference exists, torch does not use the address of a storage again.
        self._storages[self._key(tensor)] = StorageWeakRef(tensor.untyped_storage())
        return tensor

    def give_back(self, tensor: Tensor) -> Tensor:
        """Put the tensor's storage on the CPU."""
        self._storages.pop(self._key(tensor), None)
        return tensor

    def wait(self) -> None:
        """Note that the CPU waits for the GPU, and where."""
        frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(CORE)]
        self.waits.append(f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "test")

    @staticmethod
    def _key(tensor: Tensor) -> int:
        return tensor.untyped_storage()._cdata


class Functions(TorchFunctionMode):
    """Replaces ``cuda`` by ``cpu`` in calls, and answers where a tensor is."""

    def __init__(self, gpu: PretendGpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See `TorchFunctionMode`."""
        kwargs = dict(kwargs or {})
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return CUDA if self.gpu.holds(args[0]) else func(*args)
        if func == Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return self.gpu.holds(args[0])
        if func is Tensor.to:
            return self._move(*args, **kwargs)
        if func is Tensor.cpu:
            return self._move(args[0], CPU)
        if func in READING and self.gpu.holds(args[0]):
            self.gpu.wait()
        if kwargs.get("device") is None:
            return func(*args, **kwargs)
        device = torch.device(kwargs.pop("device"))
        generator = kwargs.get("generator")
        if generator is not None and generator.device.type != device.type:
            raise RuntimeError(f"Expected a '{device}' device type for generator but found '{generator.device}'")
        made = func(*args, device=CPU, **kwargs)
        return self.gpu.take(made) if device.type == "cuda" and isinstance(made, Tensor) else made

    def _move(self, tensor: Tensor, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        rest = []
        for given in args:
            if isinstance(given, str | torch.device):
                device = given
            elif isinstance(given, Tensor):
                device = CUDA if self.gpu.holds(given) else CPU
                rest.append(given.dtype)
            elif isinstance(given, torch.dtype):
                rest.append(given)
        waits = not kwargs.pop("non_blocking", False)
        kwargs = {name: value for name, value in kwargs.items() if value is not None}
        there = self.gpu.holds(tensor)
        moved = tensor.to(*rest, **kwargs) if rest or kwargs else tensor
        if device is None or (torch.device(device).type == "cuda") == there:
            return moved
        if moved.untyped_storage()._cdata == tensor.untyped_storage()._cdata:
            moved = moved.clone()
        if there:
            if waits:
                self.gpu.wait()
            return self.gpu.give_back(moved)
        return self.gpu.take(moved)


class Kernels(TorchDispatchMode):
    """Refuses kernels over both devices, and puts the results of kernels on the GPU there."""

    def __init__(self, gpu: PretendGpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See `TorchDispatchMode`."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [self.gpu.holds(tensor) for tensor in inputs]
        scalars = [tensor.dim() == 0 for tensor in inputs]
        mixed = any(there) and not all(on or scalar for on, scalar in zip(there, scalars, strict=True))
        if mixed and name not in MIXING:
            raise RuntimeError(f"Expected all tensors to be on the same device: {name}")
        result = func(*args, **kwargs)
        on_gpu = any(there) if name not in MIXING else bool(there and there[0])
        masks = name in ("index", "index_put_") and any(t.dtype == torch.bool for t in inputs[1:])
        if any(there) and (name in WAITING or masks or (name == "copy_" and not on_gpu)):
            self.gpu.wait()
        if any(there):
            self.gpu.kernels.add(name)
        if on_gpu:
            self._keep(name, inputs, result)
        return result

    def _keep(self, name: str, inputs: list[Tensor], result: Any) -> None:
        before = {tensor.untyped_storage()._cdata for tensor in inputs}
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        views = bool(made) and all(tensor.untyped_storage()._cdata in before for tensor in made)
        self.gpu.launches += not views or name.endswith("_")
        for tensor in made:
            self.gpu.take(tensor)


@contextmanager
def pretend_gpu() -> Iterator[PretendGpu]:
    """Context in which ``cuda`` is a pretend GPU of compute capability 9.0."""
    gpu = PretendGpu()
    autocast, scaler = torch.autocast, torch.amp.GradScaler

    def on_cpu(make: Any) -> Any:
        return lambda device, **options: make("cpu", **options)

    with pytest.MonkeyPatch.context() as patch, ExitStack() as modes:
        patch.setattr(torch, "Generator", Generator)
        patch.setattr(torch, "autocast", on_cpu(autocast))
        patch.setattr(torch.amp, "GradScaler", on_cpu(scaler))
        patch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
        patch.setattr(torch.cuda, "get_device_name", lambda device=None: "pretend GPU")
        patch.setattr(torch.cuda, "max_memory_allocated", lambda device=None: 0)
        modes.enter_context(Functions(gpu))
        modes.enter_context(Kernels(gpu))
        yield gpu
