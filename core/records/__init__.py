"""Trial records and sweep progress, the stored data from which `analysis` answers."""

from core.records.feasibility import Feasibility
from core.records.key import trial_key
from core.records.measured import Measured
from core.records.model_check import ModelCheck
from core.records.options import varying_options
from core.records.progress import RunningTrial, SweepProgress
from core.records.record import (
    SCHEMA_VERSION,
    CheckpointName,
    Evidence,
    Measurement,
    Outcome,
    TrialRecord,
    UnknownSchemaError,
    Verdict,
    read_record,
)
from core.records.rows import Row, Rows
from core.seal import ChecksumError

__all__ = [
    "SCHEMA_VERSION",
    "CheckpointName",
    "ChecksumError",
    "Evidence",
    "Feasibility",
    "Measured",
    "Measurement",
    "ModelCheck",
    "Outcome",
    "Row",
    "Rows",
    "RunningTrial",
    "SweepProgress",
    "TrialRecord",
    "UnknownSchemaError",
    "Verdict",
    "read_record",
    "trial_key",
    "varying_options",
]
