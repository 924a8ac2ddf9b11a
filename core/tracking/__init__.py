"""MLflow: prepare the store, write a sweep from the driver alone, read it back as records from anywhere."""

from core.tracking.attach import log_sweep_files
from core.tracking.reader import list_sweeps, read_sweep
from core.tracking.store import prepare_store
from core.tracking.tracker import SweepTracker

__all__ = ["SweepTracker", "list_sweeps", "log_sweep_files", "prepare_store", "read_sweep"]
