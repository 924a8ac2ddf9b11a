"""MLflow's copy of a sweep: the preparation of its store, and the runs, which are written during or after training."""

from core.tracking.store import creates_database, prepare_store
from core.tracking.tracked_sweep import TrackedSweep
from core.tracking.tracker import SweepTracker, open_tracker

__all__ = ["SweepTracker", "TrackedSweep", "creates_database", "open_tracker", "prepare_store"]
