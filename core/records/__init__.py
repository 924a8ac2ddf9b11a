"""What a trial leaves behind: the only thing that `analysis` reads."""

from core.records.record import Evidence, Measurement, Outcome, TrialRecord, Verdict

__all__ = ["Evidence", "Measurement", "Outcome", "TrialRecord", "Verdict"]
