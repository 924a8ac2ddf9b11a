"""Everything Ray: the Tune driver, the Train worker group of one trial, progress, resume."""

from core.sweep.driver import SweepResult, run_sweep

__all__ = ["SweepResult", "run_sweep"]
