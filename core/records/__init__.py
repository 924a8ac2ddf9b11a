"""What a trial leaves behind, and what a running sweep says of itself: the only things that `analysis` reads."""

from core.records.key import trial_key
from core.records.options import varying_options
from core.records.progress import RunningTrial, SweepProgress
from core.records.record import CheckpointName, Evidence, Measurement, Outcome, TrialRecord, Verdict

__all__ = [
    "CheckpointName",
    "Evidence",
    "Measurement",
    "Outcome",
    "RunningTrial",
    "SweepProgress",
    "TrialRecord",
    "Verdict",
    "trial_key",
    "varying_options",
]
