"""The records of a sweep, from MLflow or from its storage."""

from __future__ import annotations

from dataclasses import dataclass

from core.ledger.ledger import Ledger
from core.records import TrialRecord
from core.storage import Store
from core.tracking import read_sweep


@dataclass(frozen=True)
class FoundRecords:
    """Records, and where they are from."""

    records: list[TrialRecord]
    mlflow_problem: str | None = None
    """Why they are from the storage instead of MLflow; None: they are from MLflow."""


def find_records(sweep: str, mlflow_uri: str, storage: str | None) -> FoundRecords:
    """Records of all trials that have started, from MLflow; or else of the finished ones, from the storage.

    Args:
        sweep: its name.
        mlflow_uri: MLflow tracking URI.
        storage: absolute folder or URI of sweeps; None: MLflow alone.

    Raises:
        ValueError: MLflow has no such sweep or does not answer, and the storage has none of its records either.
    """
    try:
        return FoundRecords(read_sweep(mlflow_uri, sweep))
    except ValueError as problem:
        if storage is None:
            raise
        records = list(Ledger(Store(storage).child(sweep), sweep).records().values())
        if not records:
            raise ValueError(f"{problem}; --storage {storage} has no finished trial of sweep {sweep}") from problem
        return FoundRecords(records, str(problem))
