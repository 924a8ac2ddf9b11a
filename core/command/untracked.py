"""Message of a job whose sweep is not fully tracked, because MLflow could not be reached for too long."""

from __future__ import annotations

from rich.console import Console

from core.redaction import without_secrets


def print_untracked(lacking: str, sweep: str, console: Console) -> None:
    """Print what MLflow lacks of a sweep and the command that writes it.

    Args:
        lacking: what `core.tracking.SweepTracker.close` returned.
        sweep: name of the sweep.
        console: where the message is printed.
    """
    console.print(
        f"{without_secrets(lacking)}. The storage has everything; to complete MLflow, run: "
        f"python jobs/sync_mlflow.py --sweep {sweep}, with the same --storage and --mlflow-uri.",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
