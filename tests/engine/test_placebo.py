"""A placebo trial differs from the trial with the same seed by rounding errors of its initial weights."""

from __future__ import annotations

import torch

from core.config import Cell
from core.engine.placebo import change_by_rounding
from core.models import build_model


def test_every_weight_becomes_its_neighbour() -> None:
    cell = Cell.from_flat({"heal": "placebo"})
    before, after = (build_model(cell.model, cell.data.shape, seed=0) for _ in range(2))
    change_by_rounding(after)
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        assert (one < other).all()
        assert torch.equal(torch.nextafter(other, one), one)


def test_the_option_is_another_cell_and_leaves_all_others_as_they_were() -> None:
    plain, placebo = Cell.from_flat({}), Cell.from_flat({"heal": "placebo"})
    assert plain.id != placebo.id
    assert plain.flat() | {"heal": "placebo"} == placebo.flat()
