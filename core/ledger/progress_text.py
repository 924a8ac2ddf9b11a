"""A sweep's progress as lines of text: trials, time, device-hours, money and running trials."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from core.quantity import duration, quantity
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
    """``14.2 device-hours so far of about 41, 0.30 lost by 4 restarts; cost 28.40 of about 82``."""
    hours, whole, price = progress.device_seconds / 3600, progress.expected_device_seconds, progress.price
    text = f"{hours:.2f} device-hours so far" + ("" if whole is None else f" of about {whole / 3600:.2f}")
    if progress.restarts or progress.lost_device_seconds:
        text += f", {progress.lost_device_seconds / 3600:.2f} lost"
    if progress.restarts:
        text += f" by {quantity(progress.restarts, 'restart')}"
    if price is not None:
        text += f"; cost {hours * price:.2f}" + ("" if whole is None else f" of about {whole / 3600 * price:.2f}")
    return text


def log_line(progress: SweepProgress) -> str:
    """``12 of 300 trials done, 8 running (12 to 90 % of their epochs), 1 h 3 min passed, about 5 h 2 min left``."""
    total, shares = progress.total, [100 * trial.epoch / trial.epochs for trial in progress.running]
    ends = " to ".join(dict.fromkeys(f"{share:.0f}" for share in (min(shares), max(shares)))) if shares else ""
    place = f" ({ends} % of {'their' if shares[1:] else 'its'} epochs)" if shares else ""
    parts = [
        f"{progress.done} of {'?' if total is None else total} trials done",
        f"{len(shares)} running{place}",
        f"{duration(progress.elapsed_s)} passed",
    ]
    if progress.eta_seconds is not None:
        parts.append(f"about {duration(progress.eta_seconds)} left")
    if progress.price is not None:
        parts.append(f"cost {progress.device_seconds / 3600 * progress.price:.2f}")
    return ", ".join(parts)


def running_line(trial: RunningTrial) -> str:
    """One running trial in one line: its name, its attempt if it is not the first, its epoch and its last metrics."""
    attempt = f" (attempt {trial.attempt})" if trial.attempt > 1 else ""
    return f"{trial.title}{attempt}: epoch {trial.epoch}/{trial.epochs} {' '.join(metric_texts(trial))}".rstrip()


def metric_texts(trial: RunningTrial) -> list[str]:
    """The last metrics of a running trial: ``fosc 0.31``."""
    return [f"{name} {value:.2f}" for name, value in trial.metrics.items()]


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
        text += f"; highest FOSC {highest.metrics['fosc']:.2f} ({highest.title})"
    silent = max(trials, key=lambda trial: trial.silent_s)
    return f"{text}; longest silent {duration(silent.silent_s)} ({silent.title})"
