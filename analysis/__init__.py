"""Answers about a sweep, from its records alone. Ray, MLflow and the training code are never imported here.

from analysis import load_sweep

sweep = load_sweep("quick")
sweep.trials().groupby(["epsilon", "beta"]).unstable.mean()
"""

from analysis.stored_sweep import StoredSweep, load_sweep

__all__ = ["StoredSweep", "load_sweep"]
