"""A thread that writes a trial's checkpoints while training continues."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Content = TypeVar("Content")

COST_FACTOR = 50.0
"""Least time between two checkpoints, as a multiple of what the last one took, which limits their share to 2 %."""


class CheckpointWriter(Generic[Content]):
    """Writes checkpoints one after the other in a thread.

    It is a context manager. On exit it waits for the last write, so that no write of an ended attempt can follow those
    of the next attempt.

    Args:
        write: stores the content of a checkpoint.
        interval_s: least seconds between two checkpoints; 0: a checkpoint after every epoch, whatever it takes.
    """

    def __init__(self, write: Callable[[Content], None], interval_s: float) -> None:
        self._write, self._interval_s = write, interval_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._saved_at = time.monotonic()
        self._cost_s = 0.0

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        self.wait()

    @property
    def due(self) -> bool:
        """True if enough time has passed since the last checkpoint, and that one is stored.

        Raises:
            StoreError: the last checkpoint could not be written.
        """
        if self._interval_s == 0:
            return True
        if self._pending and not self._pending.done():
            return False
        self.wait()
        return time.monotonic() - self._saved_at >= max(self._interval_s, COST_FACTOR * self._cost_s)

    def save(self, pack: Callable[[], Content]) -> None:
        """Call ``pack``, and write its result in the thread. An earlier write is awaited first.

        Raises:
            StoreError: the earlier checkpoint could not be written.
        """
        self.wait()
        self._saved_at = time.monotonic()
        self._pending = self._thread.submit(self._store, pack())

    def wait(self) -> None:
        """Wait until the last checkpoint is stored.

        Raises:
            StoreError: it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending:
            pending.result()

    def _store(self, content: Content) -> None:
        self._write(content)
        self._cost_s = time.monotonic() - self._saved_at
