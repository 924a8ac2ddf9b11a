"""The counts at which a cell's exact interval is as narrow as asked, with few trials."""

from __future__ import annotations

import numpy as np

from core.allocation.lattice import Ends, Stops, ends_of, exact_intervals

NARROWEST_WIDTH = 0.1
"""Smallest width for which a design is searched: the search takes seconds, and its time grows with 1 / width^4."""
PSEUDO_TRIAL_SHARES = (0.45, 0.6, 1.0)
"""Tried shares of Wilson's pseudo-trials; small ones end cells with rates near 0 and 1 earlier."""
AVERAGED_RATES = np.array([1e-9, 0.1, 0.3, 0.5])
"""Rates over which the mean number of trials is minimised; the designs are symmetric."""
COARSE, FINE = 0.1, 0.02
"""Steps of the search over z."""


def width_stops(width: float) -> tuple[Stops, int]:
    """The counts at which to stop for intervals of at most this width, and the largest number of trials.

    A path stops where ``2 z sqrt(k (n - k) / n + s z^2 / 4) / (n + s z^2)`` is at most the width, which for s = 1 is
    the width of Wilson's interval. For each s, the smallest z is searched with which the exact intervals of all ends
    are narrow enough. Of these designs the one with the fewest trials is taken.
    """
    found = []
    for shape in PSEUDO_TRIAL_SHARES:
        z = _smallest(width, shape, _smallest(width, shape, 1.2, COARSE) - COARSE + FINE, FINE)
        trials = float(_ends(width, shape, z).expected_trials(AVERAGED_RATES).mean())
        found.append((trials, z, shape))
    _, z, shape = min(found)
    return _stops(width, shape, z), _last(width, z)


def _smallest(width: float, shape: float, z: float, step: float) -> float:
    """The first of z, z + step, ... with which all intervals are narrow enough."""
    while np.ptp(exact_intervals(_ends(width, shape, z)), axis=1).max() > width + 1e-9:
        z += step
    return z


def _ends(width: float, shape: float, z: float) -> Ends:
    return ends_of(_stops(width, shape, z), _last(width, z))


def _stops(width: float, shape: float, z: float) -> Stops:
    def stops(n: int) -> np.ndarray:
        k = np.arange(n + 1)
        return 2 * z * np.sqrt(k * (n - k) / n + shape * z * z / 4) <= width * (n + shape * z * z)

    return stops


def _last(width: float, z: float) -> int:
    """A number of trials at which every path has stopped: the width is at most ``z sqrt(n + s z^2) / (n + s z^2)``."""
    return int((z / width) ** 2) + 1
