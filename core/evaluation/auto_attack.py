"""One of AutoAttack's attacks on one block of images, by the authors' library `pyautoattack`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pyautoattack import AutoAttack
from pyautoattack.autopgd_base import APGDAttack
from torch import Tensor, nn

from core.attacks.base import attack_mode
from core.attacks.float32 import full_float32
from core.evaluation.attack_spec import AttackSpec


def resists_auto_attack(model: nn.Module, spec: AttackSpec, x: Tensor, y: Tensor, seed: int) -> Tensor:
    """Which images are classified correctly before and after the attack, ``[n]`` bool.

    The same as a call of ``AutoAttack.run_standard_evaluation`` on these images with one batch and this seed. In eval
    mode and float32; the global random state, the model's modes and its parameters' gradients stay as they were.

    Args:
        model: bare network, images in [0, 1] to logits.
        spec: an attack of the library.
        x: float images ``[n, C, H, W]`` in [0, 1] on the model's device.
        y: ``[n]`` int64.
        seed: of the attack's random numbers, 32 bits.
    """
    if len(x) == 0:
        return torch.zeros(0, dtype=torch.bool, device=x.device)
    with full_float32(x.device), attack_mode(model), _untouched(model):
        attack = AutoAttack(
            model, version="custom", attacks=[spec.method], eps=spec.epsilon, seed=seed, device=x.device
        )
        _set_budget(attack, spec)
        _, predicted = attack.run_standard_evaluation(x, y, batch_size=len(x))
    return predicted == y


def _set_budget(attack: AutoAttack, spec: AttackSpec) -> None:
    match spec.method:
        case "apgd-ce" | "apgd-dlr":
            # its step size schedule is laid out by the constructor, so that a budget can't be changed later
            attack.apgd = APGDAttack(
                attack.model,
                n_restarts=spec.restarts,
                n_iter=spec.steps,
                eps=spec.epsilon,
                norm="Linf",
                rho=0.75,
                device=attack.device,
                logger=attack.logger,
            )
        case "apgd-t":
            attack.apgd_targeted.n_target_classes = spec.targets
        case "fab" | "fab-t":
            attack.fab.n_restarts, attack.fab.n_iter = spec.restarts, spec.steps
            attack.fab.n_target_classes = spec.targets
        case "square":
            attack.square.n_queries = spec.queries


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Undo what the library does to its surroundings: global seeds, parameter gradients, the trace function, a log."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    tracer, logger = sys.gettrace(), logging.getLogger("auto-attack")
    level = logger.level
    logger.setLevel(logging.ERROR)
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
        logger.setLevel(level)
        sys.settrace(tracer)
