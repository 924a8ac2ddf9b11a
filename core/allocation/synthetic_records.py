"""Records of simulated trials with realistic traces, for tests of the analysis and for benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from core.allocation.truth import CellTruth, SimulatedTrial
from core.config import Cell, ProtocolOptions
from core.records import Evidence, Measurement, Row, TrialRecord, Verdict

HEALING_EPOCHS = 5
"""Epochs from the onset of a healed trial to the return of its FOSC below the threshold."""


def synthetic_records(
    trials: Iterable[SimulatedTrial],
    truths: Sequence[CellTruth],
    cells: Sequence[Mapping[str, Any]],
    *,
    sweep: str = "simulated",
    protocol: ProtocolOptions | None = None,
    seed: int = 0,
) -> list[TrialRecord]:
    """One finished record per trial.

    FOSC is about 0.4, and about 8 from the onset to a recovery. PGD-10 accuracy rises to 0.28. It exceeds the accuracy
    under Square by 16 points in unstable trials.

    Args:
        trials: simulated trials.
        truths: ground truth of the cells.
        cells: flat options of the cells, in the order of `truths`.
        sweep: name of the sweep in the records.
        protocol: protocol in the records; None for the default.
        seed: seed of the noise.
    """
    rules = protocol or ProtocolOptions()
    rng = np.random.default_rng(seed)
    ids = [Cell.from_flat(dict(cell)).id for cell in cells]
    return [
        _record(trial, truths[trial.cell], ids[trial.cell], dict(cells[trial.cell]), sweep, rules, rng)
        for trial in trials
    ]


def _record(
    trial: SimulatedTrial,
    truth: CellTruth,
    cell_id: str,
    cell: dict[str, Any],
    sweep: str,
    protocol: ProtocolOptions,
    rng: np.random.Generator,
) -> TrialRecord:
    onset = trial.onset if trial.onset is not None and trial.onset <= trial.epochs else None
    recovery = None
    if onset is not None and trial.outcome == "healed":
        recovery = min(onset + HEALING_EPOCHS, trial.epochs)
    return TrialRecord(
        sweep=sweep,
        cell_id=cell_id,
        cell=cell,
        seed=trial.seed,
        audit=trial.audited,
        protocol=protocol.model_dump(mode="json"),
        verdict=_verdict(trial, onset, recovery, protocol),
        epochs_planned=truth.epochs,
        epochs_run=trial.epochs,
        stopped_early=trial.stopped,
        trace=_trace(trial.epochs, onset, recovery, truth, rng),
        device_seconds=trial.epochs * truth.seconds_per_epoch,
        provenance={"simulated": "true"},
    )


def _verdict(trial: SimulatedTrial, onset: int | None, recovery: int | None, protocol: ProtocolOptions) -> Verdict:
    ended = trial.outcome != "censored"
    unstable = trial.outcome == "unstable"
    accuracies = {"clean": 0.55, "fgsm": 0.34, "pgd-10": 0.28, "pgd-50x5": 0.27, "square": 0.12 if unstable else 0.24}
    measurements = tuple(
        Measurement(attack=attack, accuracy=accuracy, images=protocol.verdict_images, split="test")
        for attack, accuracy in accuracies.items()
    )
    evidence = tuple(
        Evidence(checkpoint=checkpoint, epoch=trial.epochs, measurements=measurements)
        for checkpoint in ("selected", "last")
    )
    return Verdict(
        outcome=trial.outcome,
        onset=onset is not None,
        overestimation=unstable if ended else None,
        catastrophic=False if ended else None,
        onset_epoch=onset,
        onset_epochs=() if onset is None else (onset,),
        recovery_epochs=() if recovery is None else (recovery,),
        confirmed_epoch=trial.confirmed,
        censor_reason=None if ended else "crashed: simulated",
        evidence=evidence if ended else (),
    )


def _trace(
    epochs: int, onset: int | None, recovery: int | None, truth: CellTruth, rng: np.random.Generator
) -> list[Row]:
    epoch = np.arange(1, epochs + 1)
    masked = (epoch >= onset) & (epoch < (recovery or epochs + 1)) if onset is not None else np.zeros(epochs, bool)
    progress = 1 - np.exp(-4 * epoch / truth.epochs)
    pgd10 = 0.28 * progress + 0.01 * rng.standard_normal(epochs)
    clean = 0.55 * progress + 0.01 * rng.standard_normal(epochs)
    columns = {
        "epoch": epoch,
        "train/loss": 4.6 - 2 * progress,
        "train/clean_acc": clean + 0.02,
        "train/adv_acc": np.where(masked, clean, pgd10 + 0.02),
        "train/gap": np.where(masked, 0.02, clean - pgd10),
        "val/clean_acc": clean,
        "val/pgd10_acc": pgd10,
        "val/fgsm_acc": pgd10 + np.where(masked, 0.15, 0.05),
        "val/fosc": np.where(masked, 8.0, 0.4) * np.exp(0.2 * rng.standard_normal(epochs)),
        "val/sgcs": np.where(masked, 0.25, 0.6) + 0.02 * rng.standard_normal(epochs),
        "time/train_s": np.full(epochs, 0.9 * truth.seconds_per_epoch),
        "time/eval_s": np.full(epochs, 0.1 * truth.seconds_per_epoch),
    }
    rows = np.stack([column.astype(float) for column in columns.values()], axis=1).tolist()
    return [dict(zip(columns, row, strict=True)) for row in rows]
