"""The values of a measure for each image of a block."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attacks import Pgd
from core.attacks.base import attack_mode, image_gradient, uniform
from core.attacks.float32 import full_float32
from core.attacks.losses import cross_entropy
from core.attacks.minimal_norm import MinimalNorm, nearest_misclassified
from core.evaluation.measures.names import MeasureName
from core.evaluation.measures.spec import MeasureSpec
from core.fast import FoldedNetwork
from core.probes.boundary import distorted
from core.probes.landscape import plane_losses
from core.probes.linearity import linearity_error
from core.probes.lipschitz import local_lipschitz
from core.probes.margin import margin_along
from core.probes.weight_landscape import filter_normalised, weight_landscape

Columns = dict[str, Tensor]
"""Values of each image, ``[n]`` or ``[n, points, ...]``, by name."""
WEIGHT_OFFSETS_1D, WEIGHT_OFFSETS_2D = torch.linspace(-1, 1, 21).tolist(), torch.linspace(-1, 1, 11).tolist()
"""Offsets along directions whose filters have the norms of the network's filters, as in AWP (Wu et al. 2020)."""
INPUT_RADII, INPUT_POINTS = 2, 21
"""Largest offset of an input landscape in units of the l2 length of a corner of the ball, and points per axis."""


def input_offsets(epsilon: float, pixels: int) -> list[float]:
    """The l2 offsets of an input landscape for images of ``pixels`` values."""
    radius = INPUT_RADII * epsilon * pixels**0.5
    return torch.linspace(-radius, radius, INPUT_POINTS, dtype=torch.float64).tolist()


def measure_images(model: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int) -> Columns:
    """The values of one measure for each image. The network is measured in eval mode and float32.

    Args:
        model: bare network, without a DDP or compile wrapper.
        x: float images ``[n, C, H, W]`` in [0, 1] on the model's device.
        y: ``[n]`` int64.
        spec: the measure.
        seed: 32-bit seed of the attack's random numbers.
    """
    network = FoldedNetwork.of(model)
    with full_float32(x.device), attack_mode(network), attack_mode(model):
        return _MEASURES[spec.name](model, network, x, y, spec, seed)


def _pgd(spec: MeasureSpec) -> Pgd:
    assert spec.steps is not None
    assert spec.step_fraction is not None
    return Pgd(epsilon=spec.epsilon, step_size=spec.epsilon * spec.step_fraction, steps=spec.steps, start="uniform")


def _attacked(network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int) -> Tensor:
    return _pgd(spec).perturb(network, x, y, torch.Generator().manual_seed(seed))


@torch.no_grad()
def _loss(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(network(x), y, reduction="none")


def _fgsm_step(network: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The step of FGSM within the box, and the gradient of each image's loss."""
    _, gradient = image_gradient(network, x, cross_entropy(y))
    return (x + epsilon * gradient.sign()).clamp(0, 1) - x, gradient


def _vulnerability(model: nn.Module, network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int) -> Columns:
    """``l(x + delta) - l(x)`` (ISEAT, Li and Spratling 2025, eq. 3)."""
    return {"vulnerability": _loss(network, _attacked(network, x, y, spec, seed), y) - _loss(network, x, y)}


def _margin(model: nn.Module, network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int) -> Columns:
    perturbation = _attacked(network, x, y, spec, seed) - x
    return {"margin": margin_along(network, x, perturbation), "attack_length": perturbation.flatten(1).norm(dim=1)}


def _linearity(model: nn.Module, network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int) -> Columns:
    step, gradient = _fgsm_step(network, x, y, spec.epsilon)
    before, after = _loss(network, x, y), _loss(network, x + step, y)
    return {"linearity_error": linearity_error(before, after, step, gradient)}


def _lipschitz(model: nn.Module, network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int) -> Columns:
    attack = _pgd(spec)
    found: Columns = {}
    for end in ("largest", "smallest"):
        rng = torch.Generator().manual_seed(seed)
        found[end] = local_lipschitz(network, x, attack.epsilon, attack.steps, attack.step_size, rng, end)
    return found


def _boundary(model: nn.Module, network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int) -> Columns:
    step, _ = _fgsm_step(network, x, y, spec.epsilon)
    with torch.no_grad():
        right = network(x + step).argmax(1) == y
    return {"distorted": distorted(network, x, y, step), "resists_fgsm": right}


@torch.no_grad()
def _calibration(model: nn.Module, network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int) -> Columns:
    found: Columns = {}
    for name, images in (("clean", x), ("attacked", _attacked(network, x, y, spec, seed))):
        confidence, predicted = F.softmax(network(images), dim=1).max(1)
        found |= {f"{name}_confidence": confidence, f"{name}_right": predicted == y}
    return found


def _nearest(model: nn.Module, network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int) -> Columns:
    assert spec.steps is not None
    name: MinimalNorm = "minimal-cw" if spec.name == "minimal-cw" else "minimal-deepfool"
    return nearest_misclassified(network, x, y, name, spec.steps)._asdict()


def _weight_landscape(
    model: nn.Module, network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int
) -> Columns:
    rng = torch.Generator().manual_seed(spec.seed)
    dimensions, offsets = (2, WEIGHT_OFFSETS_2D) if spec.name == "weight-landscape-2d" else (1, WEIGHT_OFFSETS_1D)
    directions = [filter_normalised(model, rng) for _ in range(dimensions)]
    return {"loss": weight_landscape(model, x, y, directions, offsets, _pgd(spec), seed)}


def _input_landscape(
    model: nn.Module, network: nn.Module, x: Tensor, y: Tensor, spec: MeasureSpec, seed: int
) -> Columns:
    """Loss along the unit vectors of the attack and of a uniform perturbation (ISEAT, eq. 8)."""
    attacked = _attacked(network, x, y, spec, seed) - x
    drawn = uniform(x, torch.Generator().manual_seed(seed + 1))
    offsets = torch.tensor(input_offsets(spec.epsilon, x[0].numel()), dtype=x.dtype, device=x.device)
    return {"loss": plane_losses(network, x, y, _unit(attacked), _unit(drawn), offsets)}


def _unit(direction: Tensor) -> Tensor:
    length = direction.flatten(1).norm(dim=1).clamp(min=torch.finfo(direction.dtype).tiny)
    return direction / length.view(-1, 1, 1, 1)


_MEASURES: dict[MeasureName, Callable[[nn.Module, nn.Module, Tensor, Tensor, MeasureSpec, int], Columns]] = {
    "adversarial-vulnerability": _vulnerability,
    "margin": _margin,
    "linearity-error": _linearity,
    "lipschitz": _lipschitz,
    "boundary-distortion": _boundary,
    "calibration": _calibration,
    "minimal-deepfool": _nearest,
    "minimal-cw": _nearest,
    "weight-landscape": _weight_landscape,
    "weight-landscape-2d": _weight_landscape,
    "input-landscape": _input_landscape,
}
