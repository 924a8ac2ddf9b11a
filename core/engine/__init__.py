"""The training loop of one trial on one DDP rank: precision, step, epoch, checkpoint, seeding, verdict."""

from core.engine.provenance import git_commit
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.engine.trial import RECORD, RESUME, Cadence, Surroundings, TrialRun, run_trial

__all__ = [
    "RECORD",
    "RESUME",
    "Cadence",
    "Ranks",
    "Streams",
    "Surroundings",
    "Trainer",
    "TrialRun",
    "git_commit",
    "run_trial",
]
