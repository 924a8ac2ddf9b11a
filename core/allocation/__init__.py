"""Adaptive allocation of seeds to cells, the audit arm, and a simulator of whole sweeps.

This package does not use Ray, because `analysis` imports it. `core.sweep.allocating_searcher` wraps the allocator for
Ray Tune.
"""

from core.allocation.allocator import FINISHED, WAIT, SeedAllocator, Signal
from core.allocation.audit import is_audited
from core.allocation.certainty import Certainty
from core.allocation.goal import AllocationGoal
from core.allocation.plan import SeedHistory, SweepPlan, revised_plans
from core.allocation.replay import ever_unstable, in_seed_order, replay, until_end
from core.allocation.sequential_design import SequentialDesign, sequential_design
from core.allocation.simulate import SimulatedSweep, StoppingPolicy, simulate
from core.allocation.truth import CellTruth, SimulatedTrial, SyntheticTrials

__all__ = [
    "FINISHED",
    "WAIT",
    "AllocationGoal",
    "CellTruth",
    "Certainty",
    "SeedAllocator",
    "SeedHistory",
    "SequentialDesign",
    "Signal",
    "SimulatedSweep",
    "SimulatedTrial",
    "StoppingPolicy",
    "SweepPlan",
    "SyntheticTrials",
    "ever_unstable",
    "in_seed_order",
    "is_audited",
    "replay",
    "revised_plans",
    "sequential_design",
    "simulate",
    "until_end",
]
