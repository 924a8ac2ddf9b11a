"""Measurements on validation images after every epoch: accuracies, losses, FOSC and SGCS from one attack run."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attacks import Pgd
from core.attacks.base import attack_mode, image_gradient, uniform
from core.attacks.float32 import float32_products, full_float32
from core.attacks.losses import cross_entropy
from core.config import ProtocolOptions
from core.data.image_set import to_float
from core.fast import FoldedNetwork
from core.probes.boundary import distorted
from core.probes.fosc import fosc
from core.probes.linearity import linearity_error
from core.probes.sgcs import StepCosine

METRICS = ("clean_acc", "clean_loss", "pgd10_acc", "pgd10_loss", "fgsm_acc", "fosc", "sgcs")
SMOOTHNESS = ("linearity_error", "boundary_distortion")
"""Further metrics with ``protocol.smoothness``."""


class Images(Protocol):
    """Images and labels of a set."""

    @property
    def images(self) -> Tensor:
        """``[N, C, H, W]`` uint8."""

    @property
    def labels(self) -> Tensor:
        """``[N]`` int64."""


def validation_sums(
    model: nn.Module,
    images: Images,
    epsilon: float,
    protocol: ProtocolOptions,
    seed: int,
    batch_size: int = 512,
    rank: int = 0,
    workers: int = 1,
    search: torch.dtype | None = None,
) -> Tensor:
    """Sums of the metrics over one rank's share of the images, and the share's size, to be added over ranks.

    There are 8 sums, and with ``protocol.smoothness`` 10.

    One cross-entropy PGD (uniform start clamped to the box, ``eval_steps`` steps of ``eval_step_fraction * epsilon``)
    serves all metrics except FGSM's accuracy: SGCS reads its steps, and one more forward and backward pass at its
    result gives accuracy, loss and FOSC. The model is measured in eval mode and float32, and its mode is restored. The
    attack noise of an image depends only on ``seed`` and the image's index in the set, not on ``batch_size`` or the
    number of ranks. With ``search``, the steps of PGD and therefore SGCS are computed in that type; everything at the
    clean images and at the result of PGD stays in float32.

    Args:
        model: bare network.
        images: the whole validation set, on the model's device.
        epsilon: radius of the attacks, for images in [0, 1].
        protocol: gives the steps, the step size and the centre of FOSC.
        seed: seed of the attack's noise.
        batch_size: images per forward pass.
        rank: index of the contiguous share to measure, 0 to ``workers - 1``.
        workers: number of shares.
        search: type of weights and activations in PGD's steps, except in the first and the last layer with weights;
            None: float32 in all of them.
    """
    attack = Pgd(
        epsilon=epsilon, step_size=epsilon * protocol.eval_step_fraction, steps=protocol.eval_steps, start="uniform"
    )
    labels = images.labels
    total = len(labels)
    noise = uniform(torch.empty(images.images.shape), torch.Generator().manual_seed(seed))
    first, last = rank * total // workers, (rank + 1) * total // workers
    metrics = len(METRICS) + protocol.smoothness * len(SMOOTHNESS)
    sums = torch.zeros(metrics + 1, dtype=torch.float64, device=labels.device)
    network = FoldedNetwork.of(model)
    searched = network if search is None else FoldedNetwork.of(model, search)
    with attack_mode(network), attack_mode(searched), full_float32(labels.device):
        for begin in range(first, last, batch_size):
            part = slice(begin, min(begin + batch_size, last))
            x = to_float(images.images[part])
            start = noise[part].to(x.device).mul_(epsilon).add_(x)
            center = x if protocol.fosc_center == "natural" else start
            sums += _measure(network, searched, attack, x, labels[part], start.clamp(0, 1), center, protocol.smoothness)
    return sums


def validation_means(sums: Tensor) -> dict[str, float]:
    """Metrics named ``val/...`` from `validation_sums`, added up over the ranks."""
    *values, count = sums.tolist()
    return {f"val/{name}": value / count for name, value in zip((*METRICS, *SMOOTHNESS), values, strict=False)}


def _measure(
    model: nn.Module,
    searched: nn.Module,
    attack: Pgd,
    x: Tensor,
    y: Tensor,
    start: Tensor,
    center: Tensor,
    smoothness: bool,
) -> Tensor:
    clean_logits, clean_loss, clean_gradient = _forward_backward(model, x, y)
    fgsm = torch.add(x, clean_gradient.sign(), alpha=attack.epsilon).clamp_(0, 1)
    with torch.no_grad():
        fgsm_logits = model(fgsm)
    steps = StepCosine()
    with float32_products("ieee" if searched is model else "tf32"):
        x_adv = attack.perturb_from(searched, x, y, start, observe=steps)
    logits, loss, gradient = _forward_backward(model, x_adv, y)
    values = [
        clean_logits.argmax(1) == y,
        clean_loss,
        logits.argmax(1) == y,
        loss,
        fgsm_logits.argmax(1) == y,
        fosc(x_adv, gradient, center, attack.epsilon),
        steps.value(),
    ]
    if smoothness:
        step, fgsm_loss = fgsm - x, F.cross_entropy(fgsm_logits, y, reduction="none")
        error = linearity_error(clean_loss, fgsm_loss, step, clean_gradient)
        values += [error, distorted(model, x, y, step)]
    values.append(torch.ones_like(loss))
    return torch.stack([value.detach().double().sum() for value in values])


def _forward_backward(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits, gradient = image_gradient(model, x, cross_entropy(y))
    return logits, F.cross_entropy(logits, y, reduction="none"), gradient
