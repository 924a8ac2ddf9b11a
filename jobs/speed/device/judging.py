"""The time of verdicts, validations and AutoAttack on a network that resists some attacks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from core.attacks import Attack, resists
from core.config import Cell, ProtocolOptions
from core.data.image_set import ImageSet, to_float
from core.engine.determinism import deterministic
from core.evaluation.attack_plan import attack_plan
from core.evaluation.attack_spec import AttackSpec
from core.evaluation.auto_attack import resists_auto_attack
from core.evaluation.options import EvaluationOptions
from core.probes import validation_means, validation_sums, verdict_attacks
from jobs.speed.device.bench import Bench
from jobs.speed.device.subjects import robust_network
from jobs.speed.device.timing import pace_of, synchronize

PAPER_IMAGES, PAPER_QUERIES = 10_000, 5_000
"""Images and queries of a verdict of the presets of the paper's tables."""
SEARCHES: dict[str, torch.dtype | None] = {"bf16": torch.bfloat16, "fp32": None}


@dataclass(frozen=True)
class Judged:
    """A network, its cell, and the images that are attacked."""

    model: nn.Module
    cell: Cell
    images: ImageSet


def verdict(bench: Bench) -> None:
    """Each attack of a verdict, searched in bfloat16 and in float32; all found images are judged in float32."""
    judged = _judged(bench, bench.sizes.judged)
    protocol = ProtocolOptions(square_queries=bench.sizes.queries)
    minutes = dict.fromkeys(SEARCHES, 0.0)
    for name, attack in verdict_attacks(judged.cell.attack.epsilon, protocol).items():
        if attack is not None:
            bench.attempt(name, partial(_attacked, bench, judged, name, attack, minutes), needs=20)
    for search, total in minutes.items():
        bench.add(f"a checkpoint of the paper's verdict, {search} search, scaled linearly", total, "min")


def validation(bench: Bench) -> None:
    """The validation after an epoch, searched in bfloat16 and in float32."""
    model, cell, dataset = robust_network(bench)
    protocol, epsilon = ProtocolOptions(), cell.attack.epsilon

    def measured(search: torch.dtype | None) -> Tensor:
        with deterministic(bench.device):
            return validation_sums(model, dataset.validation, epsilon, protocol, seed=0, search=search)

    for name, search in SEARCHES.items():
        pace = pace_of(partial(measured, search), bench.device, bench.sizes.seconds)
        images = len(dataset.validation)
        found = {name: round(value, 5) for name, value in validation_means(measured(search)).items()}
        bench.add(f"validation, {name} search", pace.seconds, "s", images=images, **pace.details(), **found)


def auto_attack(bench: Bench) -> None:
    """AutoAttack's standard cascade on one block of images, each attack on those that the earlier ones left."""
    judged = _judged(bench, bench.sizes.block)
    plan = attack_plan(EvaluationOptions(mode="standard"), judged.cell, ProtocolOptions())
    left = torch.ones(len(judged.images), dtype=torch.bool, device=bench.device)
    for spec in plan:
        if spec.library == "pyautoattack":
            bench.attempt(spec.name, partial(_cascaded, bench, judged, spec, left), needs=60)


def _judged(bench: Bench, images: int) -> Judged:
    model, cell, dataset = robust_network(bench)
    return Judged(model, cell, dataset.test.take(torch.arange(min(images, len(dataset.test)), device=bench.device)))


def _attacked(bench: Bench, judged: Judged, name: str, attack: Attack, minutes: dict[str, float]) -> None:
    found = {}
    x, y = judged.images.images, judged.images.labels
    for label, search in SEARCHES.items():
        synchronize(bench.device)
        started = time.perf_counter()
        with deterministic(bench.device):
            found[label] = resists(judged.model, attack, x, y, seed=0, search=search)
        synchronize(bench.device)
        seconds = time.perf_counter() - started
        scale = PAPER_IMAGES / len(y)
        queries = getattr(attack, "queries", None)
        minutes[label] += seconds / 60 * scale * (PAPER_QUERIES / queries if queries else 1)
        accuracy = found[label].double().mean().item()
        bench.add(f"{name}, {label} search", seconds, "s", images=len(y), queries=queries, accuracy=accuracy)
    reference, other = found["fp32"], found["bf16"]
    only = {"only_fp32": (other & ~reference).sum().item(), "only_bf16": (reference & ~other).sum().item()}
    bench.add(f"{name}: images broken by one search alone", float(sum(only.values())), "images", **only)


def _cascaded(bench: Bench, judged: Judged, spec: AttackSpec, left: Tensor) -> None:
    before = int(left.sum())
    x, y = to_float(judged.images.images), judged.images.labels
    started = time.perf_counter()
    left[left.clone()] = resists_auto_attack(judged.model, spec, x[left], y[left], seed=0)
    synchronize(bench.device)
    seconds = time.perf_counter() - started
    bench.add(spec.name, seconds, "s", images=before, left=int(left.sum()), block=len(y))
