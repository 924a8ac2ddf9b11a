"""What a trial leaves behind: the only thing that `analysis` reads."""

from core.records.key import trial_key
from core.records.record import CheckpointName, Evidence, Measurement, Outcome, TrialRecord, Verdict

__all__ = ["CheckpointName", "Evidence", "Measurement", "Outcome", "TrialRecord", "Verdict", "trial_key"]
