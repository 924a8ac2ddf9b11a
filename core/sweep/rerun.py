"""Which earlier sweep's trials a stored sweep trains again."""

from __future__ import annotations

from core.config import Rerun
from core.storage import Store
from core.sweep.description import read_description


def stored_rerun(storage: str, sweep: str) -> Rerun | None:
    """Where the seeds of a sweep come from; None if they are its own, or there is no such sweep in the store.

    Args:
        storage: absolute folder or URI that the sweep's files are in.
        sweep: its name.

    Raises:
        ValueError: its description is damaged.
    """
    description = read_description(Store(storage).child(sweep))
    if description is None or not description.rerun:
        return None
    return Rerun(**description.rerun, counterparts=description.counterparts)
