"""One attack of AutoAttack on one block of images, run by the library `pyautoattack`."""

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
    """Whether each image is classified correctly before and after the attack, ``[n]`` bool.

    The result equals that of ``AutoAttack.run_standard_evaluation`` on these images with one batch and this seed. The
    model runs in eval mode and float32. The global random state, the model's modes and its parameters' gradients are
    restored afterwards.

    Args:
        model: network from images in [0, 1] to logits, without a DDP or compile wrapper.
        spec: an attack of pyautoattack.
        x: float images ``[n, C, H, W]`` in [0, 1] on the model's device.
        y: ``[n]`` int64.
        seed: 32-bit seed of the attack's random numbers.
    """
    if len(x) == 0:
        return torch.zeros(0, dtype=torch.bool, device=x.device)
    with full_float32(x.device), attack_mode(model), _restored(model):
        attack = AutoAttack(
            model, version="custom", attacks=[spec.method], eps=spec.epsilon, seed=seed, device=x.device
        )
        _set_budget(attack, spec)
        _, predicted = attack.run_standard_evaluation(x, y, batch_size=len(x))
    return predicted == y


def _set_budget(attack: AutoAttack, spec: AttackSpec) -> None:
    match spec.method:
        case "apgd-ce" | "apgd-dlr":
            # the constructor computes the schedule of step sizes, which a later change of the steps would not update
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
def _restored(model: nn.Module) -> Iterator[None]:
    """Restore what the library changes: global seeds, parameter gradients, the trace function and a log level."""
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
