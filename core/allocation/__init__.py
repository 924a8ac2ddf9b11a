"""Which cell trains its next seed: adaptive allocation, the audit arm, and a simulator of whole sweeps. No Ray here.

`core.sweep.allocating_searcher` wraps the allocator for Ray Tune; it is not imported here, for `analysis`' sake.
"""

from core.allocation.allocator import FINISHED, WAIT, SeedAllocator, Signal
from core.allocation.audit import is_audited
from core.allocation.certainty import Certainty
from core.allocation.goal import AllocationGoal
from core.allocation.replay import ever_unstable, in_seed_order, replay
from core.allocation.simulate import SimulatedSweep, StoppingPolicy, simulate
from core.allocation.truth import CellTruth, SimulatedTrial, SyntheticTrials

__all__ = [
    "FINISHED",
    "WAIT",
    "AllocationGoal",
    "CellTruth",
    "Certainty",
    "SeedAllocator",
    "Signal",
    "SimulatedSweep",
    "SimulatedTrial",
    "StoppingPolicy",
    "SyntheticTrials",
    "ever_unstable",
    "in_seed_order",
    "is_audited",
    "replay",
    "simulate",
]
