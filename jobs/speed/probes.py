"""The cost that FOSC and SGCS add to the PGD-10 attack that measures robustness, on the network that is attacked."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from core.attacks import Pgd
from core.attacks.base import attack_mode, image_gradient
from core.attacks.losses import cross_entropy
from core.config import Cell, ProtocolOptions
from core.data.image_set import to_float
from core.fast import FoldedNetwork
from core.probes import fosc, validation_sums
from core.probes.sgcs import StepCosine
from jobs.speed.result import Goal, Result, Settings, ratios
from jobs.speed.subjects import dataset_of, fields_cell, make_trainer, one_thread, resnet_cell
from jobs.speed.timing import take_turns

ALONE, PROBED, WHOLE = "PGD-10 accuracy alone", "PGD-10 + FOSC + SGCS", "validation_sums"


def probe_costs(settings: Settings) -> Iterator[Result]:
    """Measure on preset fields-quick's validation images, and on one batch for ResNet-18."""
    resnet = resnet_cell(settings)
    with one_thread():
        yield from _compare(fields_cell(settings), settings)
    yield from _compare(resnet, settings.fewer(), images=resnet.training.batch_size)


def _compare(cell: Cell, settings: Settings, images: int | None = None) -> Iterator[Result]:
    model = make_trainer(cell, settings.device).model
    folded = FoldedNetwork.of(model)  # as validation attacks it
    protocol = ProtocolOptions()
    whole = dataset_of(cell).validation
    chosen = whole.take(torch.arange(images or len(whole))).to(settings.device)
    x, y = to_float(chosen.images), chosen.labels
    attack = Pgd(
        epsilon=cell.attack.epsilon,
        step_size=cell.attack.epsilon * protocol.eval_step_fraction,
        steps=protocol.eval_steps,
        start="uniform",
    )
    setting = f"{cell.model.model}, {len(chosen)} images, {torch.get_num_threads()} thread(s)"
    seconds = take_turns(
        {
            ALONE: lambda: alone(folded, attack, x, y),
            PROBED: lambda: probed(folded, attack, x, y),
            WHOLE: lambda: validation_sums(model, chosen, cell.attack.epsilon, protocol, seed=0),
        },
        settings,
        f"probes: {setting}",
    )
    yield Result("probes", f"{PROBED} / {ALONE}; {setting}", ratios(seconds, PROBED, ALONE), "x", Goal("<=", 1.15))
    note = "validation_sums also measures clean and FGSM accuracy and both losses"
    yield Result("probes", f"{WHOLE} / {ALONE}; {setting}", ratios(seconds, WHOLE, ALONE), "x", None, note)


def alone(model: nn.Module, attack: Pgd, x: Tensor, y: Tensor) -> Tensor:
    """Number of images that the model classifies correctly under the attack."""
    x_adv = attack.run(model, x, y, _noise())
    with attack_mode(model), torch.no_grad():
        return (model(x_adv).argmax(1) == y).sum()


def probed(model: nn.Module, attack: Pgd, x: Tensor, y: Tensor) -> Tensor:
    """The number of correct images, and the sums of FOSC and SGCS, from one attack run: ``[3]``."""
    steps = StepCosine()
    x_adv = attack.run(model, x, y, _noise(), steps)
    with attack_mode(model):
        logits, gradient = image_gradient(model, x_adv, cross_entropy(y))
    correct = (logits.argmax(1) == y).sum()
    return torch.stack([correct, fosc(x_adv, gradient, x, attack.epsilon).sum(), steps.value().sum()])


def _noise() -> torch.Generator:
    return torch.Generator().manual_seed(0)
