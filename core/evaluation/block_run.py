"""All attacks on one block of images. The result of each attack is stored when the attack ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.attacks import Attack, Transfer, build_attack, resists
from core.data.image_set import ImageSet, to_float
from core.evaluation.attack_plan import TRANSFER
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.auto_attack import resists_auto_attack
from core.evaluation.blocks import Block, block_seed, results_folder
from core.storage import Store

Correct = dict[str, list[bool]]
"""For each image of a block, whether it is classified correctly after the attack, by the attack's name."""


@dataclass(frozen=True)
class BlockFile:
    """The stored results of all attacks on one block of one checkpoint with one seed."""

    store: Store
    weights: str
    """SHA-256 of the checkpoint."""
    block: Block
    size: int
    """Images per block in the division to which the block belongs."""
    seed: int

    @property
    def name(self) -> str:
        """Name of the file in the store."""
        return f"{results_folder(self.weights, self.size, self.seed)}/{self.block.place}.json"

    def read(self) -> dict[str, str]:
        """Results by the attack's key, as text with ``1`` for each correct image and ``0`` for each fooled image."""
        content = self.store.read(self.name)
        return {} if content is None else json.loads(content)

    def finished(self, specs: Sequence[AttackSpec]) -> Correct | None:
        """The results of all attacks; None if a result is missing."""
        stored = self.read()
        if any(spec.key not in stored for spec in specs):
            return None
        return {spec.name: decode(stored[spec.key]) for spec in specs}

    def add(self, spec: AttackSpec, correct: Sequence[bool]) -> None:
        """Store the result of one attack."""
        results = self.read() | {spec.key: "".join(str(int(flag)) for flag in correct)}
        self.store.write(self.name, json.dumps(results).encode())


def decode(flags: str) -> list[bool]:
    """Stored results as booleans: ``101`` is ``[True, False, True]``."""
    return [flag == "1" for flag in flags]


def run_block(
    model: nn.Module, images: ImageSet, specs: Sequence[AttackSpec], file: BlockFile, source: nn.Module | None = None
) -> Correct:
    """Attack the block's images with every attack that has no stored result.

    Args:
        model: network on the device to use, without a DDP or compile wrapper.
        images: uint8 images of the block.
        specs: attacks in their order; an attack of a cascade comes after the earlier attacks of its cascade.
        file: the stored results, which this function extends.
        source: network on the same device, on which transfer attacks are made.
    """
    device = next(model.parameters()).device
    x, y = to_float(images.images.to(device)), images.labels.to(device)
    seed = block_seed(file.seed, file.block.number)
    stored = file.read()
    results: Correct = {}
    for spec in specs:
        if spec.key in stored:
            results[spec.name] = decode(stored[spec.key])
            continue
        unfooled = torch.ones(len(y), dtype=torch.bool, device=device)
        for earlier in spec.after:
            unfooled &= torch.tensor(results[earlier], device=device)
        correct = unfooled.clone()
        correct[unfooled] = attack_images(model, spec, x[unfooled], y[unfooled], seed, source)
        results[spec.name] = correct.tolist()
        file.add(spec, results[spec.name])
    return results


def attack_images(
    model: nn.Module, spec: AttackSpec, x: Tensor, y: Tensor, seed: int, source: nn.Module | None = None
) -> Tensor:
    """Which images are classified correctly after the attack, ``[n]`` bool.

    Args:
        model: network without a DDP or compile wrapper.
        spec: the attack.
        x: float images ``[n, C, H, W]`` in [0, 1] on the model's device.
        y: ``[n]`` int64.
        seed: 32-bit seed of the attack's random numbers.
        source: network on which a transfer attack is made.
    """
    if spec.library == "pyautoattack":
        return resists_auto_attack(model, spec, x, y, seed)
    return resists(model, _own_attack(spec, source), x, y, seed)


def _own_attack(spec: AttackSpec, source: nn.Module | None) -> Attack | None:
    if spec.name == "clean":
        return None
    assert spec.step_fraction is not None
    name = f"pgd-{spec.steps}" if spec.name == "pgd-10" else spec.name.removeprefix(TRANSFER)
    queries = {} if spec.queries is None else {"queries": spec.queries}
    attack = build_attack(name, spec.epsilon, spec.step_fraction, **queries)
    if spec.source is None:
        return attack
    assert source is not None
    return Transfer(attack=attack, source=source)
