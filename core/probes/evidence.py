"""The attacks of a verdict, all on the same images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from core.attacks import Attack, SharedAttack, build_attack, resists
from core.config import ProtocolOptions
from core.config.protocol import SquareKind
from core.records import Evidence, Measurement
from core.source import code_version

_NAMES = {torch.bfloat16: "bf16"}
SQUARES: dict[SquareKind, str] = {"rescaled": "square", "autoattack": "square-autoattack"}
"""Names of the Square attacks for `build_attack`."""


def squares_of(protocol: ProtocolOptions) -> dict[str, SquareKind]:
    """The Square attacks of a protocol: key in the record -> kind. The label's own has the key ``square``."""
    found: dict[str, SquareKind] = {"square": protocol.square}
    if protocol.both_squares:
        found |= {f"square-{kind}": kind for kind in SQUARES if kind != protocol.square}
    return found


def verdict_attacks(epsilon: float, protocol: ProtocolOptions) -> dict[str, Attack | None]:
    """The attacks of a verdict by their key in the record; None stands for clean images."""
    fraction = protocol.eval_step_fraction
    return {
        "clean": None,
        "fgsm": build_attack("fgsm", epsilon),
        "pgd-10": build_attack(f"pgd-{protocol.eval_steps}", epsilon, fraction),
        "pgd-50x5": build_attack(f"pgd-50x{protocol.pgd50_restarts}", epsilon, fraction),
        **{
            name: build_attack(SQUARES[kind], epsilon, queries=protocol.square_queries)
            for name, kind in squares_of(protocol).items()
        },
    }


def collect_evidence(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    protocol: ProtocolOptions,
    seed: int,
    checkpoint: Literal["selected", "last", "gated", "alarm"],
    epoch: int,
    split: Literal["validation", "test"],
    batch_size: int = 512,
    search: torch.dtype | None = None,
    rank: int = 0,
    workers: int = 1,
    add: Callable[[Tensor], Tensor] = lambda counts: counts,
) -> Evidence:
    """Accuracy of ``model`` on clean images and under FGSM, PGD-10, PGD-50 with restarts and Square.

    All attacks run in eval mode with one seed, and all images are judged in float32; see `resists`. ``pgd-10`` takes
    its number of steps from ``protocol.eval_steps`` and ``pgd-50x5`` its restarts from ``protocol.pgd50_restarts``.
    Each measurement records the numbers that were used. ``square`` is the Square attack of ``protocol.square``, and the
    measurement says which. With ``protocol.both_squares`` the other one is measured, too, as ``square-rescaled`` or
    ``square-autoattack``.

    Args:
        model: bare network with the weights of ``checkpoint``.
        images: ``[N, C, H, W]`` uint8 or floats in [0, 1]; all of them are attacked.
        labels: ``[N]`` int64.
        epsilon: radius of all attacks, images in [0, 1].
        protocol: steps, step size, restarts and queries.
        seed: seed of the attacks.
        checkpoint: name of the checkpoint that the weights are from.
        epoch: 1-based epoch of the weights.
        split: the set that the images are from.
        batch_size: images per forward pass.
        search: type in which the attacks look for adversarial images; None: float32.
        rank: this process among those that share the images.
        workers: number of these processes. All of them must call this function, and get the same evidence. An attack
            that cannot be divided runs on the first one.
        add: adds ``[attacks]`` numbers over the processes.
    """
    attacks = verdict_attacks(epsilon, protocol)
    own = slice(rank, None, workers)
    whole = slice(None) if rank == 0 else slice(0)
    counts = [
        resists(model, attack, images, labels, seed, batch_size, search, own if _divides(attack) else whole).sum()
        for attack in attacks.values()
    ]
    accuracies = [count / len(labels) for count in add(torch.stack(counts).double()).tolist()]
    return Evidence(
        checkpoint=checkpoint,
        epoch=epoch,
        measurements=tuple(
            Measurement(
                attack=name,
                accuracy=accuracy,
                steps=getattr(attack, "steps", None),
                restarts=getattr(attack, "restarts", None),
                queries=getattr(attack, "queries", None),
                square=squares_of(protocol).get(name),
                images=len(labels),
                split=split,
                epsilon=None if attack is None else epsilon,
                seed=None if attack is None else seed,
                precision="fp32" if attack is None or search is None else f"{_NAMES[search]} search, fp32",
                library=code_version(),
            )
            for (name, attack), accuracy in zip(attacks.items(), accuracies, strict=True)
        ),
    )


def _divides(attack: Attack | None) -> bool:
    """True if the images can be divided among processes."""
    return attack is None or isinstance(attack, SharedAttack)
