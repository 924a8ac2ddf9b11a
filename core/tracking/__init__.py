"""MLflow, a copy of what the storage says: prepare the store, write a sweep's runs while it trains or afterwards."""

from core.tracking.store import prepare_store
from core.tracking.tracked_sweep import TrackedSweep
from core.tracking.tracker import SweepTracker, open_tracker

__all__ = ["SweepTracker", "TrackedSweep", "open_tracker", "prepare_store"]
