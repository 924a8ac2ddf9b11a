"""Our Square attack against AutoAttack's, on the same images, network, budget and success criterion."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from core.attacks import Square, robust_accuracy
from core.benchmark.result import Goal, Result, Settings, ratios
from core.benchmark.subjects import dataset_of, make_trainer, one_thread, ten_step_cell
from core.benchmark.timing import take_turns
from core.data import to_float

OURS, SHORTER, THEIRS = "Square", "Square, fewer queries", "pyautoattack's Square"
SHORTER_SHARE = 0.3
"""Of the queries; about what our attack needs to find as many adversaries as pyautoattack's."""
RADII = {"the radius it is trained for": 1.0, "half of that": 0.5}
"""At the first hardly an image survives, as in a sweep's verdicts; at the second many do."""


def square_speed(settings: Settings, queries: int = 1_000, epochs: int = 10) -> Iterator[Result]:
    """All of the quick preset's test images at once, on its network after some epochs of 10-step TRADES.

    Every call takes another seed; the note has both attacks' mean robust accuracy over the calls, in float32.
    With equal queries ours finds more adversaries: pyautoattack proposes one square for all images, which never reaches
    their last row and column. So ours is also timed with fewer.
    """
    cell = ten_step_cell(settings, beta=6, batch_size=64)
    dataset = dataset_of(cell)
    trainer = make_trainer(cell, settings.device)
    train, test = dataset.train.to(settings.device), dataset.test.to(settings.device)
    x, y = to_float(test.images), test.labels
    with one_thread():
        settings.say(f"square: training the network for {epochs} epochs")
        for epoch in range(1, epochs + 1):
            trainer.run_epoch(train, epoch)
        model = trainer.model.eval()
        for name, share in RADII.items():
            setting = f"{cell.model.model}, {len(x)} images, {name}, 1 thread"
            yield from _compare(model, x, y, share * cell.attack.epsilon, queries, setting, settings.fewer())


def _compare(
    model: nn.Module, x: Tensor, y: Tensor, epsilon: float, queries: int, setting: str, settings: Settings
) -> Iterator[Result]:
    from pyautoattack.square import SquareAttack

    robust: dict[str, list[float]] = {OURS: [], SHORTER: [], THEIRS: []}

    def ours(name: str, budget: int) -> None:
        attack = Square(epsilon=epsilon, queries=budget)
        robust[name].append(robust_accuracy(model, attack, x, y, seed=len(robust[name])))

    def theirs() -> None:
        with torch.random.fork_rng():
            attack = SquareAttack(model, n_queries=queries, eps=epsilon, seed=len(robust[THEIRS]), device=x.device)
            robust[THEIRS].append(robust_accuracy(model, None, attack.perturb(x, y), y, seed=0))

    fewer = max(2, round(SHORTER_SHARE * queries))
    ways = {OURS: lambda: ours(OURS, queries), SHORTER: lambda: ours(SHORTER, fewer), THEIRS: theirs}
    seconds = take_turns(ways, settings, f"square: {setting}")
    means = {name: sum(values) / len(values) for name, values in robust.items()}
    clean = robust_accuracy(model, None, x, y, seed=0)
    for name, budget in ((OURS, queries), (SHORTER, fewer)):
        yield Result(
            "square",
            f"{THEIRS}, {queries:,} queries / ours, {budget:,}; {setting}",
            ratios(seconds, THEIRS, name),
            "x",
            Goal(">=", 3),
            f"robust accuracy: ours {means[name]:.3f}, theirs {means[THEIRS]:.3f}; clean {clean:.3f}",
        )
