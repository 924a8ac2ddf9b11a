"""Square, a black-box attack by random search, which does not use gradients and cannot be misled by them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.attacks.base import SharedAttack, attack_mode, bounds, forward
from core.attacks.losses import margin

P_STEPS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Iterations, out of 10,000, after which the squares' share of the image is halved."""

DRAWN_AT_ONCE = 64
"""Number of queries whose random numbers are drawn in one call."""


@dataclass(frozen=True, kw_only=True)
class Square(SharedAttack):
    """Square attack, l-infinity (Andriushchenko et al. 2020, Algorithms 1 and 2), on the margin loss.

    The start is vertical stripes of +-epsilon. In each query every image gets one square of +-epsilon at a random place
    and with random colours, and keeps it if the margin grows. The schedule of the squares' side is rescaled to the
    query budget, as in the authors' code. AutoAttack's Square does not rescale it (`AutoAttackSquare`). Images that the
    model already misclassifies are returned unchanged.

    Queries continue only for images that are not yet misclassified, and these are packed into full batches. Small
    images have few different squares. One that was proposed before, since the image last changed, is counted as a query
    and not evaluated again, because its margin is known.

    Random numbers are drawn for every image in every query. The numbers of an image therefore do not depend on the
    results of other images or on ``batch_size``. They depend on its place in ``x``: attacking a set in two parts gives
    other results than attacking it as a whole.
    """

    queries: int
    """Largest number of model evaluations per image, including that of the start."""
    p_init: float = 0.8
    """Share of the image that the first squares cover."""

    @torch.no_grad()
    def perturb_rows(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator, rows: Tensor | None) -> Tensor:
        """Adversarial images, see `SharedAttack.perturb_rows`."""
        with attack_mode(model):
            return self._search(model, x, y, rng, torch.arange(len(x), device=x.device) if rows is None else rows)

    def _search(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator, rows: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        x, y = x[rows], y[rows]
        result = x.clone()
        low, high = bounds(x, self.epsilon)
        alive = (forward(model, x, self.batch_size).argmax(1) == y).nonzero()[:, 0]

        stripes = torch.rand((count, channels, 1, width), generator=rng, device=rng.device).to(x.device) < 0.5
        low, high, y, rows = low[alive], high[alive], y[alive], rows[alive]
        best = torch.where(stripes[rows], high, low)
        worst = margin(forward(model, best, self.batch_size), y) if len(alive) else x.new_empty(0)

        side, squares = 0, x.new_empty(0)
        answered: _Answered | None = None
        for query in range(1, self.queries):
            if (query - 1) % DRAWN_AT_ONCE == 0:
                size = (min(DRAWN_AT_ONCE, self.queries - query), count, 2 + channels)
                draws = torch.rand(size, generator=rng, device=rng.device).to(x.device)
            fooled = worst > 0
            if fooled.any():
                result[alive[fooled]] = best[fooled]
                kept = (~fooled).nonzero()[:, 0]
                alive, best, low, high = alive[kept], best[kept], low[kept], high[kept]
                y, worst, rows = y[kept], worst[kept], rows[kept]
                if answered:
                    answered.keep(kept)
            if len(alive) == 0:
                return result
            if side != self.side(query - 1, height, width):
                side = self.side(query - 1, height, width)
                squares = squares_of(side, height, width).to(x.device)
                kinds = len(squares) * 2**channels
                answered = _Answered(len(alive), kinds, x.device) if kinds < self.queries - query else None
            mine = draws[(query - 1) % DRAWN_AT_ONCE, rows]
            top = (mine[:, 0] * (height - side + 1)).long()
            left = (mine[:, 1] * (width - side + 1)).long()
            place, bright = top * (width - side + 1) + left, mine[:, 2:] < 0.5
            # A step of +-2 epsilon from any point of the ball is projected to one of the ball's two limits.
            colours = torch.where(bright[:, :, None, None], high, low)
            proposal = torch.where(squares[place], colours, best)
            if answered is None:
                value = margin(forward(model, proposal, self.batch_size), y)
            else:
                changed = (proposal != best).flatten(1).any(1)
                new = (changed & answered.add(place, bright)).nonzero()[:, 0]
                if len(new) == 0:
                    continue
                value = worst.index_copy(0, new, margin(forward(model, proposal[new], self.batch_size), y[new]))
                answered.forget(value > worst)
            best = torch.where((value > worst)[:, None, None, None], proposal, best)
            worst = torch.maximum(value, worst)
        result[alive] = best
        return result

    def side(self, iteration: int, height: int, width: int) -> int:
        """Side in pixels of the square in a 0-based iteration."""
        rescaled = int(iteration / self.queries * 10_000)
        share = self.p_init / 2 ** sum(rescaled > step for step in P_STEPS)
        return min(max(round(math.sqrt(share * height * width)), 1), height, width)


class _Answered:
    """The squares whose margins are known for each image, because it has not changed since they were proposed.

    Args:
        images: number of images.
        kinds: number of places times number of colours of a square.
        device: device of the images.
    """

    def __init__(self, images: int, kinds: int, device: torch.device) -> None:
        self._known = torch.zeros((images, kinds), dtype=torch.bool, device=device)

    def add(self, place: Tensor, bright: Tensor) -> Tensor:
        """Note one square for each image, given by its place ``[n]`` and colours ``[n, C]``.

        Returns:
            True for the images for which its margin was not known, ``[n]``.
        """
        channels = bright.shape[1]
        colour = (bright.long() << torch.arange(channels, device=bright.device)).sum(1)
        square = ((place << channels) + colour)[:, None]
        new = ~self._known.gather(1, square)[:, 0]
        self._known.scatter_(1, square, True)
        return new

    def forget(self, changed: Tensor) -> None:
        """Forget the squares of the images that have changed, ``[n]`` bool."""
        self._known &= ~changed[:, None]

    def keep(self, images: Tensor) -> None:
        """Keep these images only, given by their numbers."""
        self._known = self._known[images]


def squares_of(side: int, height: int, width: int) -> Tensor:
    """Masks of all squares within the image, row by row: ``[places, 1, height, width]`` bool."""
    rows, columns = (_intervals(side, length) for length in (height, width))
    return (rows[:, None, :, None] & columns[None, :, None, :]).view(-1, 1, height, width)


def _intervals(side: int, length: int) -> Tensor:
    offset = torch.arange(length)[None, :] - torch.arange(length - side + 1)[:, None]
    return (offset >= 0) & (offset < side)
