"""A sweep's progress as lines of text: trials, time, device-hours, money and running trials."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from core.records import RunningTrial, SweepProgress


def progress_line(progress: SweepProgress) -> str:
    """``12 of 300 trials done, 8 running, 280 waiting, 1 h 3 min passed, about 5 h 2 min left``."""
    total = progress.total
    waiting = "more" if progress.pending is None else sum(progress.pending.values())
    eta = "" if progress.eta_seconds is None else f", about {duration(progress.eta_seconds)} left"
    return (
        f"{progress.done} of {'?' if total is None else total} trials done, {len(progress.running)} running, "
        f"{waiting} waiting, {duration(progress.elapsed_s)} passed{eta}"
    )


def cost_line(progress: SweepProgress) -> str:
    """``14.2 device-hours so far of about 41; cost 28.40 of about 82``."""
    hours, whole, price = progress.device_seconds / 3600, progress.expected_device_seconds, progress.price
    text = f"{hours:.2f} device-hours so far" + ("" if whole is None else f" of about {whole / 3600:.2f}")
    if price is not None:
        text += f"; cost {hours * price:.2f}" + ("" if whole is None else f" of about {whole / 3600 * price:.2f}")
    return text


def running_line(trial: RunningTrial) -> str:
    """One running trial in one line: its key, its epoch and its last metrics."""
    return " ".join(running_cells(trial))


def running_cells(trial: RunningTrial) -> tuple[str, ...]:
    """The parts of `running_line`, each for one column of a table."""
    shown = (f"{name} {value:.2f}" for name, value in trial.metrics.items())
    return (trial.key, f"epoch {trial.epoch}/{trial.epochs}", *shown)


def running_summary(trials: Sequence[RunningTrial]) -> str:
    """Many running trials in one line: the range of their epochs, the highest FOSC and the longest silence."""
    if not trials:
        return ""
    shares = sorted(trial.epoch / trial.epochs for trial in trials)
    first, middle, last = (f"{100 * share:.0f}" for share in (shares[0], median(shares), shares[-1]))
    text = f"running: {first} to {last} % of their epochs, median {middle} %"
    watched = [trial for trial in trials if "fosc" in trial.metrics]
    if watched:
        highest = max(watched, key=lambda trial: trial.metrics["fosc"])
        text += f"; highest FOSC {highest.metrics['fosc']:.2f} ({highest.key})"
    silent = max(trials, key=lambda trial: trial.silent_s)
    return f"{text}; longest silent {duration(silent.silent_s)} ({silent.key})"


def duration(seconds: float) -> str:
    """A duration with one or two units: ``42 s``, ``3 min 20 s``, ``5 h 10 min``, ``3 d 4 h``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    if seconds < 2 * 86400:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    return f"{int(seconds // 86400)} d {int(seconds % 86400 // 3600)} h"
