"""The four streams of one seed, each of which can be pinned separately."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch

from core.config import STREAMS, Cell, Stream
from core.data.image_set import Dataset
from core.engine.batches import iterate_epoch
from core.engine.seeding import Streams
from core.engine.trainer import Trainer

CPU = torch.device("cpu")


def effects(trainer: Trainer, dataset: Dataset) -> dict[str, torch.Tensor]:
    """The effect of each stream, separated from the effects of the others as far as possible."""
    draw = trainer.method.draw
    batches = list(iterate_epoch(dataset.train, trainer.cell, draw, trainer.streams, trainer.ranks, 1, 0))
    return {
        "init": torch.cat([p.detach().flatten() for p in trainer.model.parameters()]),
        "order": torch.cat([batch.y for batch in batches]),
        "attack": torch.cat([batch.drawn["start"] - batch.x for batch in batches]),
        "augmentation": trainer.streams.generator("augmentation", 1, device=CPU).get_state().double(),
    }


@pytest.mark.parametrize("pinned", STREAMS)
def test_a_pinned_stream_and_only_it_keeps_its_effect(
    make_cell: Callable[..., Cell],
    make_trainer: Callable[..., Trainer],
    load: Callable[[Cell], Dataset],
    pinned: Stream,
) -> None:
    cell = make_cell(augment="crop-flip")
    dataset = load(cell)
    first, second = (effects(make_trainer(cell, seed=seed, pins={pinned: 7}), dataset) for seed in (1, 2))
    assert {name for name in first if torch.allclose(first[name], second[name], rtol=0, atol=1e-6)} == {pinned}


def test_augmentation_alone_changes_the_images(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset]
) -> None:
    cell = make_cell(augment="crop-flip")
    dataset = load(cell)
    others: dict[Stream, int] = {"init": 7, "order": 7, "attack": 7}
    images = []
    for seed in (1, 2):
        trainer = make_trainer(cell, seed=seed, pins=others)
        batches = iterate_epoch(dataset.train, cell, trainer.method.draw, trainer.streams, trainer.ranks, 1, 0)
        images.append(torch.cat([batch.x for batch in batches]))
    assert not torch.equal(images[0], images[1])


def test_seed_sequences_are_numpys_and_all_differ() -> None:
    streams = Streams.spawn(5, {})
    assert streams.integer("order", 3) == np.random.SeedSequence(5, spawn_key=(1, 3)).generate_state(1)[0]
    draws = {
        (seed, stream, epoch): torch.rand(4, generator=Streams.spawn(seed, {}).generator(stream, epoch, device=CPU))
        for seed in (0, 1)
        for stream in STREAMS
        for epoch in (1, 2)
    }
    assert not any(torch.equal(a, b) for a, b in combinations(draws.values(), 2))


def test_a_trial_leaves_the_global_generators_alone(
    make_cell: Callable[..., Cell], make_trainer: Callable[..., Trainer], load: Callable[[Cell], Dataset]
) -> None:
    cell = make_cell(augment="crop-flip")
    train = load(cell).train
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    make_trainer(cell).run_epoch(train, 1, noisy_batches=2, gradient_stride=1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # type: ignore[index]
