"""Synthetic sweeps: records like real ones, drawn from a known hazard without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from core.config import Cell, ProtocolOptions
from core.records import Evidence, Measurement, TrialRecord, Verdict

PROVENANCE = {
    "commit": "b53be04c9f",
    "python": "3.11.9",
    "torch": "2.15.0",
    "device": "cpu",
    "hardware": "AMD EPYC, 2 cores",
}
ATTACKS = ("clean", "fgsm", "pgd-10", "pgd-50x5", "square")


def unstable_probability(cell: dict[str, Any]) -> float:
    """A probability that decreases with beta and batch size and increases with the learning rate, as in Table 2."""
    logit = 1.2 - 1.3 * np.log2(cell["beta"] / 2) - 1.1 * np.log2(cell["batch_size"] / 64) + np.log10(cell["lr"] / 0.1)
    return float(1 / (1 + np.exp(-logit)))


def synthetic_trial(
    cell: Cell,
    seed: int,
    *,
    sweep: str = "synthetic",
    epochs: int = 50,
    audit: bool = False,
    probability: float | None = None,
    censor: bool = False,
    heal: bool = False,
    running: int | None = None,
    gradients: bool = False,
    sgcs: bool = True,
) -> TrialRecord:
    """One trial. `running` is the last epoch of a running trial, and None for a finished one."""
    flat = cell.flat()
    rng = np.random.default_rng([seed, int(cell.id[:8], 16)])
    protocol = ProtocolOptions(gradient_stride=1 if gradients else 0).model_dump(mode="json")
    wanted = unstable_probability(flat) if probability is None else probability
    onset = int(rng.integers(8, max(9, epochs - 4))) if heal or rng.random() < wanted else None
    recovery = onset + int(rng.integers(3, 8)) if heal and onset else None
    planned = epochs
    stopped = onset is not None and recovery is None and not audit and onset + 6 < epochs
    last = running or (onset + 6 if stopped and onset else planned)
    if censor:
        last = max(1, planned // 3)
        onset = recovery = None
        stopped = False
    if running is not None:
        stopped = False
        onset = onset if onset and onset + 2 <= running else None
    masked = np.array([bool(onset and e >= onset and not (recovery and e >= recovery)) for e in range(1, last + 1)])
    rise = 1 - np.exp(-np.arange(1, last + 1) / (epochs / 5))
    noise = rng.normal(size=(8, last))
    columns = {
        "epoch": np.arange(1, last + 1.0),
        "train/loss": 2.5 - 1.2 * rise + 0.03 * noise[0],
        "train/clean_acc": 0.55 * rise + 0.01 * noise[1],
        "train/adv_acc": np.where(masked, 0.57 * rise, 0.36 * rise) + 0.01 * noise[2],
        "train/lr": np.full(last, flat["lr"]),
        "val/clean_acc": 0.5 * rise + 0.01 * noise[3],
        "val/clean_loss": 2.6 - 1.0 * rise,
        "val/pgd10_acc": np.where(masked, 0.29, 0.27) * rise + 0.008 * noise[4],
        "val/pgd10_loss": 3.0 - 0.6 * rise,
        "val/fgsm_acc": np.where(masked, 0.62, 0.33) * rise + 0.01 * noise[5],
        "val/fosc": np.where(masked, 9.0, 0.35) * np.exp(0.3 * noise[6]),
        "val/sgcs": np.clip(np.where(masked, 0.25, 0.6) + 0.03 * noise[7], -1, 1),
        "time/train_s": np.full(last, 0.8),
        "time/eval_s": np.full(last, 0.2),
    }
    columns["train/gap"] = columns["train/clean_acc"] - columns["train/adv_acc"]
    if not sgcs:
        del columns["val/sgcs"]
    for name, values in columns.items():
        if name.endswith("_acc"):
            np.clip(values, 0, 1, out=values)
    rows: list[dict[str, float | None]] = [
        {name: float(values[i]) for name, values in columns.items()} for i in range(last)
    ]
    return TrialRecord(
        sweep=sweep,
        cell_id=cell.id,
        cell=flat,
        seed=seed,
        audit=audit,
        protocol=protocol,
        status="finished" if running is None else "running",
        verdict=None if running is not None else _verdict(rng, onset, recovery, last, planned, censor),
        epochs_planned=planned,
        epochs_run=last,
        stopped_early=stopped,
        trace=rows,
        gradients=_gradients(rng, onset, last) if gradients else [],
        device_seconds=float(last),
        provenance=PROVENANCE,
    )


def _verdict(
    rng: np.random.Generator, onset: int | None, recovery: int | None, last: int, planned: int, censor: bool
) -> Verdict:
    if censor:
        return Verdict(outcome="censored", onset=False, censor_reason="diverged: loss is not finite")
    unstable = onset is not None and recovery is None
    means = (0.54, 0.60, 0.28, 0.17, 0.12) if unstable else (0.52, 0.33, 0.25, 0.235, 0.24)
    measurements = tuple(
        Measurement(
            attack=attack,
            accuracy=float(np.clip(mean + 0.01 * rng.normal(), 0, 1)),
            images=400,
            split="test",
            epsilon=8 / 255,
            seed=0,
        )
        for attack, mean in zip(ATTACKS, means, strict=True)
    )
    return Verdict(
        outcome="healed" if recovery else "unstable" if unstable else "stable",
        onset=onset is not None,
        overestimation=unstable,
        catastrophic=unstable,
        onset_epoch=onset,
        onset_epochs=(onset,) if onset else (),
        recovery_epochs=(recovery,) if recovery else (),
        confirmed_epoch=onset + 6 if unstable and onset and onset + 6 < planned else None,
        evidence=tuple(Evidence(checkpoint=c, epoch=last, measurements=measurements) for c in ("selected", "last")),
    )


def _gradients(rng: np.random.Generator, onset: int | None, last: int) -> list[dict[str, float | None]]:
    steps = 20
    rows: list[dict[str, float | None]] = []
    for step in range(last * steps):
        epoch = step // steps + 1
        spike = float(rng.exponential(6)) if onset and epoch >= onset and rng.random() < 0.2 else 0.0
        ce, kl = 1 + 0.1 * rng.normal(), 0.8 + 0.1 * rng.normal() + spike
        cosine = float(np.clip(0.7 - 0.15 * spike + 0.05 * rng.normal(), -1, 1))
        rows.append({"step": step, "epoch": epoch, "w_norm": ce + kl, "ce_norm": ce, "kl_norm": kl, "cosine": cosine})
    return rows


def synthetic_sweep(
    *,
    betas: Sequence[float] = (1, 3, 6),
    batch_sizes: Sequence[int] = (64, 128, 256),
    seeds: int = 10,
    epochs: int = 50,
    censor_every: int = 0,
    heal_every: int = 0,
    audit_every: int = 0,
    gradients_every: int = 0,
    running_last: int = 0,
    sgcs: bool = True,
    **options: Any,
) -> list[TrialRecord]:
    """A grid of cells x seeds. `*_every = k` makes every k-th trial censored, healed etc., and 0 makes none."""

    def every(k: int, i: int) -> bool:
        return bool(k) and i % k == k - 1

    plan = [(beta, batch, seed) for seed in range(seeds) for beta in betas for batch in batch_sizes]
    return [
        synthetic_trial(
            Cell.from_flat({"beta": beta, "batch_size": batch, "epochs": epochs, **options}),
            seed,
            epochs=epochs,
            censor=every(censor_every, i),
            heal=every(heal_every, i),
            audit=every(audit_every, i),
            gradients=every(gradients_every, i),
            running=max(1, epochs // 3) if i >= len(plan) - running_last else None,
            sgcs=sgcs,
        )
        for i, (beta, batch, seed) in enumerate(plan)
    ]


@pytest.fixture(scope="session")
def make_sweep() -> Callable[..., list[TrialRecord]]:
    """The generator of sweeps, see `synthetic_sweep`."""
    return synthetic_sweep


@pytest.fixture(scope="session")
def make_trial() -> Callable[..., TrialRecord]:
    """The generator of single trials, see `synthetic_trial`."""
    return synthetic_trial
