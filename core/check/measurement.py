"""All attacks and probes on one network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from core.attacks.base import attack_mode, forward, image_gradient
from core.attacks.losses import cross_entropy
from core.check.options import CheckOptions
from core.config import Cell, ProtocolOptions
from core.data.image_set import ImageSet, to_float
from core.evaluation.attack_plan import attack_plan
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.block_run import Correct, attack_images
from core.evaluation.blocks import block_seed, split_blocks
from core.evaluation.collect import measurements
from core.evaluation.options import EvaluationOptions
from core.fast import Opaque
from core.probes import Landscape, loss_landscape, validation_means, validation_sums
from core.records import ModelCheck

FIRST = ("clean", "fgsm", "pgd-10", "pgd-50x5", "square")
"""Attacks before AutoAttack, from the fastest to the slowest."""
LANDSCAPES, POINTS = 16, 21
"""Images and points per direction of the loss landscapes."""

Say = Callable[[str], None]


def check_network(
    model: nn.Module, images: ImageSet, cell: Cell, options: CheckOptions, say: Say, *, origin: str
) -> tuple[ModelCheck, Landscape]:
    """Measure a network, on a GPU if there is one.

    Args:
        model: network from images in [0, 1] to logits.
        images: the test images to attack.
        cell: names the data set and the radius.
        options: attacks, batch size and seed.
        say: prints a line about what has been measured.
        origin: what the network is, in words.

    Returns:
        The measurements, and the loss landscapes of the first images.

    Raises:
        ValueError: the network does not give one logit per class.
    """
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = Opaque(model).to(device).eval()
    chosen, protocol = images.to(device), ProtocolOptions()
    repeatable = _check_logits(network, to_float(chosen.images[:8]), cell.data.classes)
    evaluation = EvaluationOptions(
        mode="standard" if options.auto_attack else "none",
        attacks=("fgsm", "pgd-50x5", "square"),
        block=options.block,
        seed=options.seed,
    )
    specs = _in_order(attack_plan(evaluation, cell, protocol))
    correct: Correct = {}
    for spec in specs:
        correct[spec.name] = _correct(network, spec, chosen, correct, options)
        left = sum(correct[spec.name]) / len(chosen)
        say(f"{spec.name}: {100 * left:.1f} % correct ({time.monotonic() - started:.0f} s)")
    epsilon = cell.attack.epsilon
    probed = validation_means(validation_sums(network, chosen, epsilon, protocol, options.seed, options.block).cpu())
    first = to_float(chosen.images[:LANDSCAPES])
    landscape = loss_landscape(network, first, chosen.labels[:LANDSCAPES], epsilon, POINTS, options.seed)
    measured = measurements(specs, [correct], evaluation)
    return (
        ModelCheck(
            origin=origin,
            dataset=cell.data.dataset,
            classes=cell.data.classes,
            epsilon=epsilon,
            measurements=measured,
            correct={m.attack: tuple(correct[m.attack if m.attack in correct else specs[-1].name]) for m in measured},
            fosc=probed["val/fosc"],
            sgcs=probed["val/sgcs"],
            zero_gradients=_zero_gradients(network, chosen, options.block),
            early_peaks=_early_peaks(landscape),
            landscapes=len(landscape.loss),
            repeatable=repeatable,
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
            seconds=time.monotonic() - started,
        ),
        landscape,
    )


def _in_order(specs: Sequence[AttackSpec]) -> list[AttackSpec]:
    """The fast attacks first, and the links of AutoAttack's cascade last, in their own order."""
    return sorted(specs, key=lambda spec: FIRST.index(spec.name) if spec.name in FIRST else len(FIRST))


def _correct(
    network: nn.Module, spec: AttackSpec, images: ImageSet, earlier: Correct, options: CheckOptions
) -> list[bool]:
    """Which images are correct after the attack, block by block, as `jobs/evaluate.py` attacks them."""
    kept = torch.ones(len(images), dtype=torch.bool)
    for link in spec.after:
        kept &= torch.tensor(earlier[link])
    kept = kept.to(images.labels.device)
    for block in split_blocks(len(images), options.block):
        part = slice(block.start, block.stop)
        left = kept[part].clone()
        x, y = to_float(images.images[part][left]), images.labels[part][left]
        if len(y):
            kept[part][left] = attack_images(network, spec, x, y, block_seed(options.seed, block.number))
    return kept.tolist()


def _check_logits(network: nn.Module, x: Tensor, classes: int) -> bool:
    """Check the shape of the logits, and return whether they are the same twice."""
    with attack_mode(network):
        try:
            once, twice = forward(network, x, None), forward(network, x, None)
        except RuntimeError as error:
            problem = str(error).strip().splitlines()[-1][:200]
            raise ValueError(
                f"the network cannot be called with images of shape {tuple(x.shape)}: {problem}"
            ) from error
    if once.shape != (len(x), classes):
        raise ValueError(f"the network returns shape {tuple(once.shape)} for {len(x)} images of {classes} classes")
    return torch.equal(once, twice)


def _zero_gradients(network: nn.Module, images: ImageSet, block: int) -> float:
    zero = 0
    with attack_mode(network):
        for x, y in zip(images.images.split(block), images.labels.split(block), strict=True):
            _, gradient = image_gradient(network, to_float(x), cross_entropy(y))
            zero += int((gradient.flatten(1) == 0).all(1).sum())
    return zero / len(images)


def _early_peaks(landscape: Landscape) -> int:
    """Images whose loss is highest before the end of the way along the sign of the gradient."""
    middle = len(landscape.offsets) // 2
    along = landscape.loss[:, middle:, middle]
    return int((along.argmax(1) < along.shape[1] - 1).sum())
