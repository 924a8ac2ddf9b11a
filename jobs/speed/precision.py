"""Effect of half precision on the training attack: gradient signs per step, and the adversarial images found."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from core.attacks import Pgd
from core.attacks.base import attack_mode
from core.config import Cell
from core.data.image_set import to_float
from core.fast import FoldedNetwork
from core.methods.base import FP16_ATTACK_SCALE
from jobs.speed.result import Result, Settings
from jobs.speed.subjects import dataset_of, make_trainer, one_thread, resnet_cell, ten_step_cell, training_images

HALF = {"bf16": (torch.bfloat16, 1.0), "fp16": (torch.float16, FP16_ATTACK_SCALE)}
"""Type of weights and activations, and scale of the loss, by name. tf32 is left out, because only CUDA has it. On a
CPU, ResNet-18 is measured without fp16, which takes minutes on CPUs that emulate it."""
SEEDS = 3


def attack_precision(settings: Settings, epochs: int = 10) -> Iterator[Result]:
    """TRADES' 10-step attack on the small CNN after some epochs and on ResNet-18 after four batches, all in float32.

    Signs are compared at the images that the float32 attack visits, so that errors of earlier steps do not add up.
    Accuracies under the adversarial images are those of the float32 network.
    """
    small = ten_step_cell(settings, batch_size=64)
    with one_thread():
        yield from _compare(small, settings, epochs, None, len(dataset_of(small).test), ("bf16", "fp16"))
    resnet = resnet_cell(settings)
    names = ("bf16",) if settings.device.type == "cpu" else ("bf16", "fp16")
    yield from _compare(resnet, settings, 1, 4, min(resnet.training.batch_size, 100), names)


def _compare(
    cell: Cell, settings: Settings, epochs: int, batches: int | None, images: int, names: tuple[str, ...]
) -> Iterator[Result]:
    trainer = make_trainer(cell, settings.device)
    settings.say(f"precision: training {cell.model.model} for {epochs} epoch(s)")
    train = training_images(cell, settings.device, batches)
    for epoch in range(1, epochs + 1):
        trainer.run_epoch(train, epoch)
    test = dataset_of(cell).test.take(torch.arange(images)).to(settings.device)
    x, y = to_float(test.images), test.labels
    attack, full = trainer.method.inner, FoldedNetwork(trainer.model)
    setting = f"{cell.model.model} after {epochs} epoch(s) of {len(train)} images, {len(y)} images"
    for name in names:
        dtype, scale = HALF[name]
        settings.say(f"precision: {cell.model.model}, {name}")
        half, scaled = FoldedNetwork(trainer.model, dtype), replace(attack, loss_scale=scale)
        shares = [100 * share for share in sign_agreement(full, half, attack, scaled, x, y, _start(attack, x, 0))]
        steps = " ".join(f"{share:.1f}" for share in shares)
        compared = f"gradient signs of the attack that agree in {name} and fp32; {setting}"
        yield Result("precision", compared, tuple(shares), "%", None, f"n = steps; in their order: {steps}")
        gains, reached = [], []
        for seed in range(SEEDS):
            start = _start(attack, x, seed)
            accuracy = _accuracy(full, attack.perturb_from(full, x, y, start), y)
            reached.append(accuracy)
            gains.append(100 * (_accuracy(full, scaled.perturb_from(half, x, y, start), y) - accuracy))
        note = f"points; with fp32's it is {100 * statistics.mean(reached):.1f} %"
        note += f", clean {100 * _accuracy(full, x, y):.1f} %"
        compared = f"fp32 network's accuracy under {name}'s adversaries minus under fp32's; {setting}"
        yield Result("precision", compared, tuple(gains), "%", None, f"n = starts; {note}")


def sign_agreement(
    full: nn.Module, half: nn.Module, attack: Pgd, scaled: Pgd, x: Tensor, y: Tensor, start: Tensor
) -> list[float]:
    """Share of pixels, per step, whose gradients have the same sign in both networks, at the full network's images."""
    visited: list[tuple[Tensor, Tensor]] = []
    attack.perturb_from(full, x, y, start, observe=lambda step, at, gradient: visited.append((at, gradient.sign())))
    shares = []
    for at, signs in visited:
        seen = _first_signs(half, replace(scaled, steps=1), x, y, at)
        shares.append((seen == signs).double().mean().item())
    return shares


def _first_signs(network: nn.Module, attack: Pgd, x: Tensor, y: Tensor, start: Tensor) -> Tensor:
    seen: list[Tensor] = []
    attack.perturb_from(network, x, y, start, observe=lambda step, at, gradient: seen.append(gradient.sign()))
    return seen[0]


def _start(attack: Pgd, x: Tensor, seed: int) -> Tensor:
    return attack.start_points(x, torch.Generator().manual_seed(seed))


def _accuracy(network: nn.Module, x: Tensor, y: Tensor) -> float:
    with attack_mode(network), torch.no_grad():
        return (network(x).argmax(1) == y).double().mean().item()
