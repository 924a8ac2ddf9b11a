"""Hand-made trial records for the tests of `analysis`."""

from __future__ import annotations

from typing import Any

from core.config import Cell, ProtocolOptions, digest
from core.records import Evidence, Measurement, Outcome, TrialRecord, Verdict

PROTOCOL = ProtocolOptions().model_dump(mode="json")
BASE_CELL = Cell.from_flat({}).flat()


def evidence(checkpoint: Any = "selected", split: Any = "test", epoch: int = 1, **accuracies: float) -> Evidence:
    """Evidence with `pgd_10=0.3` for attack ``pgd-10``."""
    measured = [
        Measurement(attack=name.replace("_", "-"), accuracy=value, images=400, split=split)
        for name, value in accuracies.items()
    ]
    return Evidence(checkpoint=checkpoint, epoch=epoch, measurements=tuple(measured))


def record(
    seed: int = 0,
    outcome: Outcome | None = "stable",
    *,
    cell: dict[str, Any] | None = None,
    onsets: tuple[int, ...] = (),
    recoveries: tuple[int, ...] = (),
    epochs_run: int = 10,
    epochs_planned: int = 10,
    overestimation: bool | None = None,
    catastrophic: bool | None = None,
    censor_reason: str | None = None,
    shown: tuple[Evidence, ...] = (),
    **fields: Any,
) -> TrialRecord:
    """A trial; outcome None means that it still runs. `unstable` means overestimated unless said otherwise."""
    options = {**BASE_CELL, **(cell or {})}
    verdict = None
    if outcome is not None:
        known = outcome != "censored"
        verdict = Verdict(
            outcome=outcome,
            onset=bool(onsets),
            onset_epoch=onsets[0] if onsets else None,
            onset_epochs=onsets,
            recovery_epochs=recoveries,
            overestimation=(outcome == "unstable") if overestimation is None and known else overestimation,
            catastrophic=False if catastrophic is None and known else catastrophic,
            censor_reason=censor_reason,
            evidence=shown,
        )
    return TrialRecord(
        sweep="test",
        cell_id=digest(options),
        cell=options,
        seed=seed,
        protocol=PROTOCOL,
        status="running" if outcome is None else "finished",
        verdict=verdict,
        epochs_planned=epochs_planned,
        epochs_run=epochs_run,
        **fields,
    )
