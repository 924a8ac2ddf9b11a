"""Agreement of the attack's gradients in every number format with those in float32."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from core.attacks import Pgd
from core.attacks.float32 import float32_products
from core.data.image_set import to_float
from core.fast import FoldedNetwork
from core.methods.base import FP16_ATTACK_SCALE
from jobs.speed.device.bench import Bench
from jobs.speed.device.subjects import robust_network, trainer_on

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
IMAGES = 512


def gradient_signs(bench: Bench) -> None:
    """Share of equal gradient signs per step of TRADES' attack, at the images that the float32 attack visits."""
    model, cell, dataset = robust_network(bench)
    test = dataset.test.take(torch.arange(min(IMAGES, len(dataset.test)), device=bench.device))
    x, y = to_float(test.images), test.labels
    attack = trainer_on(bench.device, cell).method.inner
    start = attack.start_points(x, torch.Generator(bench.device).manual_seed(0))
    with float32_products("ieee"):
        visited = _visited(FoldedNetwork(model), attack, x, y, start)
    for name in ("fp32", "tf32", "bf16", "fp16"):
        network = FoldedNetwork(model, HALF.get(name))
        scaled = replace(attack, steps=1, loss_scale=FP16_ATTACK_SCALE if name == "fp16" else 1.0)
        with float32_products("tf32" if name == "tf32" else "ieee"):
            shares = [_share(network, scaled, x, y, at, signs) for at, signs in visited]
        rest = sum(shares[1:]) / len(shares[1:])
        bench.add(f"equal gradient signs, {name}", 100 * rest, "% after the first step", first=100 * shares[0])


def _visited(network: nn.Module, attack: Pgd, x: Tensor, y: Tensor, start: Tensor) -> list[tuple[Tensor, Tensor]]:
    seen: list[tuple[Tensor, Tensor]] = []
    attack.perturb_from(network, x, y, start, observe=lambda _, at, gradient: seen.append((at, gradient.sign())))
    return seen


def _share(network: nn.Module, attack: Pgd, x: Tensor, y: Tensor, at: Tensor, signs: Tensor) -> float:
    ((_, found),) = _visited(network, attack, x, y, at)
    return (found == signs).double().mean().item()
