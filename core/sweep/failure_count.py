"""The number of failures for which Tune gives up a trial.

Tune counts every end of an attempt and has no public way to correct the number: this file alone assigns it.
"""

from __future__ import annotations

from ray.tune.experiment import Trial as TuneTrial


def uncount_failures(trial: TuneTrial, number: int) -> None:
    """Take back failures that are not the trial's own, such as the loss of its node."""
    trial.run_metadata.num_failures -= number


def forget_failures(trial: TuneTrial) -> None:
    """Count from 0 again, because the trial has made progress; a long trial on preemptible machines fails often."""
    trial.run_metadata.num_failures = 0
