"""Everything Ray: the Tune driver, the Train worker group of one trial, progress, resume."""

from core.sweep.driver import Adaptive, Output, SweepResult, run_sweep

__all__ = ["Adaptive", "Output", "SweepResult", "run_sweep"]
