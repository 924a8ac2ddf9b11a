"""Answers about a sweep, from its stored records.

Only `StoredSweep.model` imports torch, and nothing imports Ray or MLflow.

from analysis import load_sweep

sweep = load_sweep("quick")
sweep.trials().groupby(["epsilon", "beta"]).unstable.mean()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.stored_sweep import StoredSweep, load_sweep

__all__ = ["StoredSweep", "load_sweep"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are used, because their statistics take seconds, and jobs need only parts."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from analysis import stored_sweep

    return getattr(stored_sweep, name)
