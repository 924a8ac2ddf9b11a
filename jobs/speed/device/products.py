"""Rounding errors of float32 products as the engine sets them, and the rates of matrix products."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from core.attacks.float32 import float32_products, full_float32
from jobs.speed.device.bench import Bench
from jobs.speed.device.peak import peak_tflops
from jobs.speed.device.timing import pace_of

TYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def rounding(bench: Bench) -> None:
    """Errors of a product, of a convolution and of its gradients relative to float64, then rates of products."""
    contexts: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "IEEE float32 (verdicts)": lambda: full_float32(bench.device),
        "precision fp32": lambda: float32_products("ieee"),
        "precision tf32": lambda: float32_products("tf32"),
        "torch's own settings": nullcontext,
    }
    for name, context in contexts.items():
        with context():
            for what, error in _errors(bench.device).items():
                bench.add(f"relative error of a {what}, {name}", error, "")
    for name in bench.sizes.precisions:
        bench.attempt(f"matrix product, {name}", partial(measure_rate, bench, name), needs=5)


def product_rate(bench: Bench, name: str) -> float:
    """TFLOP/s of a product of square matrices in the number format ``name``."""
    side = bench.sizes.product
    a, b = (torch.randn(side, side, device=bench.device, dtype=TYPES[name]) for _ in range(2))
    with float32_products("tf32" if name == "tf32" else "ieee"):
        pace = pace_of(lambda: a @ b, bench.device, bench.sizes.seconds / 2)
    return 2 * side**3 / pace.seconds / 1e12


def measure_rate(bench: Bench, name: str) -> None:
    """Add the rate of products in ``name``."""
    peak = peak_tflops(torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "", name)
    bench.add(
        f"matrix product, {name}", product_rate(bench, name), "TFLOP/s", side=bench.sizes.product, data_sheet=peak
    )


def _errors(device: torch.device) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(512, 512, generator=generator), torch.randn(512, 512, generator=generator)
    exact = a.double() @ b.double()
    found = {"matrix product": _distance(a.to(device) @ b.to(device), exact)}
    x = torch.randn(16, 64, 32, 32, generator=generator)
    weight = torch.randn(64, 64, 3, 3, generator=generator)
    ours = _convolved(x.to(device), weight.to(device))
    theirs = _convolved(x.double(), weight.double())
    for name, mine, reference in zip(("convolution", "image gradient", "weight gradient"), ours, theirs, strict=True):
        found[name] = _distance(mine, reference)
    return found


def _convolved(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    y = nn.functional.conv2d(x, weight, padding=1)
    image, kernel = torch.autograd.grad(y, (x, weight), torch.ones_like(y).cumsum(0))
    return y.detach(), image, kernel


def _distance(found: Tensor, exact: Tensor) -> float:
    return ((found.double().cpu() - exact).norm() / exact.norm()).item()
