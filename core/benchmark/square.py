"""Our Square attack against AutoAttack's, on the same images, network, budget and success criterion."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from core.attacks import Square
from core.attacks.base import attack_mode
from core.benchmark.result import Goal, Result, Settings, ratios
from core.benchmark.subjects import dataset_of, make_trainer, one_thread, ten_step_cell
from core.benchmark.timing import take_turns
from core.data import to_float

OURS, THEIRS = "Square", "pyautoattack's Square"
RADII = {"the radius it is trained for": 1.0, "half of that": 0.5}
"""At the first hardly an image survives, as in a sweep's verdicts; at the second many do."""


def square_speed(settings: Settings, queries: int = 1_000, epochs: int = 10) -> Iterator[Result]:
    """All of the quick preset's test images at once, on its network after some epochs of 10-step TRADES.

    Every call takes another seed; the note has both attacks' mean robust accuracy over the calls. That of pyautoattack
    is higher also because its squares never reach an image's last row and column.
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
            setting = f"{queries:,} queries, {cell.model.model}, {len(x)} images, {name}, 1 thread"
            yield _compare(model, x, y, share * cell.attack.epsilon, queries, setting, settings.fewer())


def _compare(
    model: nn.Module, x: Tensor, y: Tensor, epsilon: float, queries: int, setting: str, settings: Settings
) -> Result:
    from pyautoattack.square import SquareAttack

    robust: dict[str, list[float]] = {OURS: [], THEIRS: []}

    def note(name: str, x_adv: Tensor) -> None:
        robust[name].append(_accuracy(model, x_adv, y))

    def ours() -> None:
        attack = Square(epsilon=epsilon, queries=queries)
        note(OURS, attack.perturb(model, x, y, torch.Generator(x.device).manual_seed(len(robust[OURS]))))

    def theirs() -> None:
        with torch.random.fork_rng():
            attack = SquareAttack(model, n_queries=queries, eps=epsilon, seed=len(robust[THEIRS]), device=x.device)
            note(THEIRS, attack.perturb(x, y))

    seconds = take_turns({OURS: ours, THEIRS: theirs}, settings, f"square: {setting}")
    means = {name: sum(values) / len(values) for name, values in robust.items()}
    return Result(
        "square",
        f"{THEIRS} / ours; {setting}",
        ratios(seconds, THEIRS, OURS),
        "x",
        Goal(">=", 3),
        f"robust accuracy: ours {means[OURS]:.3f}, theirs {means[THEIRS]:.3f}; clean {_accuracy(model, x, y):.3f}",
    )


def _accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with attack_mode(model), torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()
