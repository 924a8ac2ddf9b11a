"""The assumptions of a forecast about a sweep's cells, from the records of a pilot sweep or from given rates."""

from __future__ import annotations

from collections.abc import Sequence

from core.allocation import CellTruth, ever_unstable
from core.records import TrialRecord


def pilot_of(
    records: Sequence[TrialRecord], cell_ids: Sequence[str], *, epochs: int | None = None
) -> tuple[list[CellTruth], list[tuple[int, int]]]:
    """Assumptions about each cell for `forecast`, and its counts (unstable, finished), from the records of a pilot.

    Onsets and seconds per epoch of a cell come from its own trials or, if it has none, from all records. Without any
    onset all planned epochs are equally likely. The rate of healing comes from unstable trials that ran to their end,
    such as audited ones.

    Args:
        records: trials of the pilot; running ones are ignored.
        cell_ids: the cells of the planned sweep, in order.
        epochs: planned epochs of the sweep; default: those of the cell in the pilot or, without a trial, the largest.

    Raises:
        ValueError: no record has finished.
    """
    finished = [r for r in records if r.status == "finished" and r.epochs_run > 0]
    if not finished:
        raise ValueError("the pilot sweep has no finished trial; give assumed rates instead")
    whole = [r for r in finished if ever_unstable(r) and not r.stopped_early]
    healing = sum(r.verdict is not None and r.verdict.outcome == "healed" for r in whole) / len(whole) if whole else 0.0
    censored = sum(ever_unstable(r) is None for r in finished) / len(finished)
    truths, counts = [], []
    for cell_id in cell_ids:
        group = [r for r in finished if r.cell_id == cell_id]
        planned = epochs or max(r.epochs_planned for r in group or finished)
        all_onsets = _onsets(finished, planned) or tuple(range(1, planned + 1))
        outcomes = [label for r in group if (label := ever_unstable(r)) is not None]
        counts.append((sum(outcomes), len(outcomes)))
        truths.append(
            CellTruth(
                rate=(sum(outcomes) + 0.5) / (len(outcomes) + 1),
                epochs=planned,
                onset_epochs=_onsets(group, planned) or all_onsets,
                healing=healing,
                seconds_per_epoch=_pace(group or finished),
                censored=censored,
            )
        )
    return truths, counts


def assumed_cells(
    rates: Sequence[float], epochs: Sequence[int], seconds_per_epoch: Sequence[float], grace: int
) -> list[CellTruth]:
    """Assumptions for `forecast` without a pilot: an onset is equally likely in all epochs after the grace period.

    Args:
        rates: rates of instability, one for all cells or one for each cell.
        epochs: planned epochs of each cell.
        seconds_per_epoch: device-seconds per epoch of each cell.
        grace: number of first epochs that cannot have an onset.

    Raises:
        ValueError: the number of rates is neither one nor that of the cells, or a rate is not in [0, 1].
    """
    shown = f"--assume-rate {' '.join(f'{rate:g}' for rate in rates)}"
    if len(rates) not in (1, len(epochs)):
        raise ValueError(f"{shown}: allowed are one rate or {len(epochs)}, one per cell")
    if not all(0 <= rate <= 1 for rate in rates):
        raise ValueError(f"{shown}: must be between 0 and 1")
    each = list(rates) * len(epochs) if len(rates) == 1 else rates
    return [
        CellTruth(
            rate=rate,
            epochs=planned,
            onset_epochs=tuple(range(min(grace + 1, planned), planned + 1)),
            seconds_per_epoch=seconds,
        )
        for rate, planned, seconds in zip(each, epochs, seconds_per_epoch, strict=True)
    ]


def confirm_delay(records: Sequence[TrialRecord], patience: int) -> int:
    """Epochs from an onset to its confirmation: the mean over confirmed trials, or ``patience - 1`` without any."""
    verdicts = [r.verdict for r in records if r.verdict is not None]
    delays = [v.confirmed_epoch - v.onset_epoch for v in verdicts if v.confirmed_epoch and v.onset_epoch]
    return round(sum(delays) / len(delays)) if delays else patience - 1


def _onsets(records: Sequence[TrialRecord], planned: int) -> tuple[int, ...]:
    found = (r.verdict.onset_epoch for r in records if r.verdict is not None)
    return tuple(onset for onset in found if onset is not None and onset <= planned)


def _pace(records: Sequence[TrialRecord]) -> float:
    return sum(r.device_seconds for r in records) / sum(r.epochs_run for r in records)
