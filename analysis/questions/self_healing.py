"""Recoveries of trials, and whether each one shows the signature of self-healing of the TRADES instability paper (5.3):

"a slight decline in clean training accuracy, accompanied by a drop in FOSC to nearly zero within the same epoch. In the
following epoch, the weight gradient norm decreases as well."

The paper gives one example without numbers (Figure 5: epochs 142 and 143). For each part of the signature, this module
reports the size of the change, a yes or no by its own rule, and how usual such a change is in the same trial. Training
accuracy falls in many epochs of any training; a dip alone is therefore weak evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from core.records import TrialRecord

NEAR_ZERO = 0.1
"""Largest share of the peak since the onset at which FOSC counts as nearly zero."""


@dataclass(frozen=True)
class Change:
    """The change of a metric from one epoch to the next."""

    before: float
    after: float
    usual: float | None
    """Share of the trial's other changes between successive epochs that are at least as low; None without any."""

    @property
    def fell(self) -> bool:
        """Whether the metric is lower than one epoch before."""
        return self.after < self.before


@dataclass(frozen=True)
class Recovery:
    """One return of FOSC below its threshold. Epochs are 1-based; None marks a value that the trace does not have."""

    record: TrialRecord
    onset_epoch: int
    epoch: int
    """First epoch below the threshold after the onset."""
    with_healing: bool
    """Whether the trial was trained with healing, in which case its recovery is no evidence of self-healing."""
    peak_fosc: float | None
    """Largest FOSC from the onset to the epoch before the recovery."""
    fosc: float | None
    """FOSC at the recovery."""
    accuracy: Change | None
    """Clean training accuracy, from the epoch before the recovery to the recovery."""
    gradient_norm: Change | None
    """Norm of the weight gradient, from the recovery to the epoch after it."""

    @property
    def near_zero(self) -> bool | None:
        """Whether FOSC fell to nearly zero."""
        return None if self.peak_fosc is None or self.fosc is None else self.fosc <= NEAR_ZERO * self.peak_fosc

    @property
    def parts(self) -> tuple[bool | None, bool | None, bool | None]:
        """Whether FOSC fell to nearly zero, accuracy fell in that epoch, and the gradient norm fell in the next one."""
        return (
            self.near_zero,
            None if self.accuracy is None else self.accuracy.fell,
            None if self.gradient_norm is None else self.gradient_norm.fell,
        )

    @property
    def signature(self) -> bool | None:
        """Whether all three parts hold; None if no part fails but one was not measured."""
        return False if False in self.parts else None if None in self.parts else True


def recoveries(records: Sequence[TrialRecord]) -> list[Recovery]:
    """All recoveries of finished trials, in the order of `records` and, within a trial, of epochs."""
    return [
        _recovery(record, onset, epoch)
        for record in records
        if record.verdict
        for onset, epoch in zip(record.verdict.onset_epochs, record.verdict.recovery_epochs, strict=False)
    ]


def _recovery(record: TrialRecord, onset: int, epoch: int) -> Recovery:
    fosc = _by_epoch(record, "val/fosc")
    masked = [value for at, value in fosc.items() if onset <= at < epoch]
    return Recovery(
        record=record,
        onset_epoch=onset,
        epoch=epoch,
        with_healing=record.cell["heal"] == "fosc",
        peak_fosc=max(masked, default=None),
        fosc=fosc.get(epoch),
        accuracy=_change(record, "train/clean_acc", epoch),
        gradient_norm=_change(record, "grad/w_norm", epoch + 1),
    )


def _change(record: TrialRecord, metric: str, epoch: int) -> Change | None:
    """The change of a metric from the epoch before to `epoch`."""
    values = _by_epoch(record, metric)
    if epoch not in values or epoch - 1 not in values:
        return None
    size = values[epoch] - values[epoch - 1]
    others = [values[at] - values[at - 1] for at in values if at != epoch and at - 1 in values]
    usual = sum(other <= size for other in others) / len(others) if others else None
    return Change(values[epoch - 1], values[epoch], usual)


def _by_epoch(record: TrialRecord, metric: str) -> dict[int, float]:
    found = zip(record.trace.column("epoch").tolist(), record.trace.column(metric).tolist(), strict=True)
    return {int(epoch): value for epoch, value in found if not isnan(value)}
