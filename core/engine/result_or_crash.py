"""Which file of a trial is its record: that of a result, or that of a crash."""

from __future__ import annotations

from collections.abc import Callable

from core.engine.filenames import CRASH, RECORD
from core.records import TrialRecord
from core.storage import Store


def result_or_crash(store: Store, parse: Callable[[str, bytes], TrialRecord]) -> TrialRecord | None:
    """A trial's result, or else its last crash; None if it has neither.

    A result is created once. A process that was taken for dead may store it beside the crash, which then means nothing.
    Earlier versions stored a crash as ``record.json``, too. Such a crash counts if there is no ``crash.json``.

    Args:
        store: the store of the trial's files.
        parse: (name, content of a file) -> record. It raises an error if the file cannot be used.
    """
    content = store.read(RECORD)
    stored = None if content is None else parse(RECORD, content)
    if stored and not stored.crashed:
        return stored
    content = store.read(CRASH)
    return stored if content is None else parse(CRASH, content)
