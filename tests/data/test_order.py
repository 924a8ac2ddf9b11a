from __future__ import annotations

from itertools import permutations

import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from core.data.order import epoch_order, rank_rows


@given(n=st.integers(0, 200), workers=st.integers(1, 20))
def test_rank_parts_are_contiguous_disjoint_covering_and_even(n: int, workers: int) -> None:
    batch = torch.arange(n) + 1000
    parts = [batch[rank_rows(n, rank, workers)] for rank in range(workers)]
    assert torch.equal(torch.cat(parts), batch)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_all_orders_are_equally_likely() -> None:
    generator = torch.Generator().manual_seed(0)
    orders = [tuple(epoch_order(4, generator).tolist()) for _ in range(4800)]
    counts = [orders.count(order) for order in permutations(range(4))]
    assert sum(counts) == 4800
    assert chisquare(counts).pvalue > 0.001


def test_order_is_the_generators_and_differs_between_epochs() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(7)
    first, second = epoch_order(100, generator), epoch_order(100, generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.dtype == torch.int64
    assert not torch.equal(first, second)
    assert torch.equal(first, epoch_order(100, torch.Generator().manual_seed(7)))
