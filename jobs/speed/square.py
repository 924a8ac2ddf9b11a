"""Our Square attack against that of pyautoattack, on the same images, network, budget and success criterion.

pyautoattack's schedule is rescaled to the queries here, as ours is. AutoAttack runs the same attack without that.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from core.attacks import Square, robust_accuracy
from core.data.image_set import ImageSet, to_float
from jobs.speed.result import Goal, Result, Settings, ratios
from jobs.speed.subjects import dataset_of, make_trainer, one_thread, ten_step_cell
from jobs.speed.timing import take_turns

OURS, SHORTER, THEIRS = "Square", "Square, fewer queries", "pyautoattack's Square"
SHARES = (0.1, 0.15, 0.2, 0.3, 0.45, 0.7)
"""Budgets that are tried, as shares of the queries."""
CALIBRATIONS = 3
"""Number of runs of each attack from which a budget is chosen."""
RADII = {"the radius it is trained for": 1.0, "half of that": 0.5}
"""Radii as shares of the training radius. At the first, as in verdicts, few images survive; at the second, many do."""


def square_speed(settings: Settings, queries: int = 1_000, epochs: int = 10) -> Iterator[Result]:
    """Attack all test images of the preset fields-quick at once, on its network after some epochs of 10-step TRADES.

    Every run takes another seed; the note states the mean robust accuracy of both attacks over the runs, in float32.
    With equal queries, our attack finds more adversarial images: pyautoattack proposes one square for all images, which
    never reaches the last row and column. Our attack is therefore also timed with the queries that make it as strong, a
    budget chosen on the validation images with other seeds.
    """
    cell = ten_step_cell(settings, beta=6, batch_size=64)
    dataset = dataset_of(cell)
    trainer = make_trainer(cell, settings.device)
    train, test = dataset.train.to(settings.device), dataset.test.to(settings.device)
    held_out = dataset.validation.to(settings.device)
    with one_thread():
        settings.say(f"square: training the network for {epochs} epochs")
        for epoch in range(1, epochs + 1):
            trainer.run_epoch(train, epoch)
        model = trainer.model.eval()
        for name, share in RADII.items():
            setting = f"{cell.model.model}, {len(test.labels)} images, {name}, 1 thread"
            both = _BothAttacks(model, share * cell.attack.epsilon, queries)
            yield from _compare(both, held_out, test, setting, settings.fewer())


class _BothAttacks:
    """Our attack and pyautoattack's on one network with one radius."""

    def __init__(self, model: nn.Module, epsilon: float, queries: int) -> None:
        self.model, self.epsilon, self.queries = model, epsilon, queries

    def ours(self, images: ImageSet, queries: int, seed: int) -> float:
        """Robust accuracy under our attack with ``queries`` queries."""
        attack = Square(epsilon=self.epsilon, queries=queries)
        return robust_accuracy(self.model, attack, images.images, images.labels, seed)

    def theirs(self, images: ImageSet, seed: int) -> float:
        """Robust accuracy under pyautoattack's attack with all queries."""
        from pyautoattack.square import SquareAttack

        x, y = to_float(images.images), images.labels
        with torch.random.fork_rng():
            attack = SquareAttack(self.model, n_queries=self.queries, eps=self.epsilon, seed=seed, device=x.device)
            return robust_accuracy(self.model, None, attack.perturb(x, y), y, seed=0)

    def enough(self, images: ImageSet) -> int:
        """The smallest budget with which our attack is at least as strong as pyautoattack's with all queries."""
        seeds = range(1_000, 1_000 + CALIBRATIONS)
        left = sum(self.theirs(images, seed) for seed in seeds)
        budgets = [round(share * self.queries) for share in SHARES]
        strong = (b for b in budgets if sum(self.ours(images, b, seed) for seed in seeds) <= left)
        return next(strong, self.queries)


def _compare(
    both: _BothAttacks, held_out: ImageSet, test: ImageSet, setting: str, settings: Settings
) -> Iterator[Result]:
    settings.say(f"square: {setting}: choosing a budget on {len(held_out.labels)} other images")
    budgets = {OURS: both.queries, SHORTER: both.enough(held_out)}
    robust: dict[str, list[float]] = {OURS: [], SHORTER: [], THEIRS: []}

    def ours(name: str) -> None:
        robust[name].append(both.ours(test, budgets[name], seed=len(robust[name])))

    ways = {
        OURS: lambda: ours(OURS),
        SHORTER: lambda: ours(SHORTER),
        THEIRS: lambda: robust[THEIRS].append(both.theirs(test, seed=len(robust[THEIRS]))),
    }
    seconds = take_turns(ways, settings, f"square: {setting}")
    means = {name: sum(values) / len(values) for name, values in robust.items()}
    clean = robust_accuracy(both.model, None, test.images, test.labels, seed=0)
    for name, budget in budgets.items():
        compared = f"{THEIRS}, {both.queries:,} queries / ours, {budget:,}"
        note = f"robust accuracy: ours {means[name]:.3f}, theirs {means[THEIRS]:.3f}; clean {clean:.3f}"
        if name == SHORTER:
            compared += " (as strong)"
            note += "; its budget was chosen on other images"
        yield Result(
            "square",
            f"{compared}; {setting}",
            ratios(seconds, THEIRS, name),
            "x",
            Goal(">=", 3),
            note,
        )
