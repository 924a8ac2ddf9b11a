"""All attacks on one block, each stored as soon as it is done."""

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
from core.evaluation.blocks import Block, block_seed
from core.storage import Store

Correct = dict[str, list[bool]]
"""Per attack's name: which images of the block are classified correctly after it."""


@dataclass(frozen=True)
class BlockFile:
    """Stored results of one block of one checkpoint under one seed, by attack."""

    store: Store
    weights: str
    """SHA-256 of the checkpoint."""
    block: Block
    size: int
    """Images per block of the split that the block belongs to."""
    seed: int

    @property
    def name(self) -> str:
        """Name in the store; the size decides what number, and so what seed, a block has."""
        place = f"{self.block.start:06d}-{self.block.stop:06d}"
        return f"evaluation/{self.weights[:16]}/block{self.size}-seed{self.seed}/{place}.json"

    def read(self) -> dict[str, str]:
        """``1`` for correct and ``0`` for fooled per image, by the attack's key."""
        content = self.store.read(self.name)
        return {} if content is None else json.loads(content)

    def finished(self, specs: Sequence[AttackSpec]) -> Correct | None:
        """Results of all attacks, or None if one is missing."""
        stored = self.read()
        if any(spec.key not in stored for spec in specs):
            return None
        return {spec.name: decode(stored[spec.key]) for spec in specs}

    def add(self, spec: AttackSpec, correct: Sequence[bool]) -> None:
        """Store one attack's result."""
        results = self.read() | {spec.key: "".join(str(int(flag)) for flag in correct)}
        self.store.write(self.name, json.dumps(results).encode())


def decode(flags: str) -> list[bool]:
    """``101`` as booleans."""
    return [flag == "1" for flag in flags]


def run_block(
    model: nn.Module, images: ImageSet, specs: Sequence[AttackSpec], file: BlockFile, source: nn.Module | None = None
) -> Correct:
    """Attack the block's images with every attack that has no stored result.

    Args:
        model: bare network on the device to use.
        images: the block's own, uint8.
        specs: in order; a link of a cascade comes after its earlier links.
        file: where results are kept.
        source: network that transfer attacks are made on, on the same device.
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
        alive = torch.ones(len(y), dtype=torch.bool, device=device)
        for earlier in spec.after:
            alive &= torch.tensor(results[earlier], device=device)
        correct = alive.clone()
        correct[alive] = _attack(model, spec, x[alive], y[alive], seed, source)
        results[spec.name] = correct.tolist()
        file.add(spec, results[spec.name])
    return results


def _attack(model: nn.Module, spec: AttackSpec, x: Tensor, y: Tensor, seed: int, source: nn.Module | None) -> Tensor:
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
