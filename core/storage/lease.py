"""A lease in a store: one process at a time, on any machine, holds it; a dead process can be replaced."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Self

from core.quantity import duration
from core.seal import sealed
from core.storage.errors import StoreError, UnreachableError
from core.storage.fence import Fence, LostLeaseError
from core.storage.holder import Holder, file_of, lease_numbers, read_holder
from core.storage.process_identity import started_at, this_machine
from core.storage.store import Store
from core.temporary import TemporaryError

REFRESH_S = 15.0
STALE_S = 90.0
"""Seconds without a refresh after which another process may take the lease.

Measured by the store's clock, because the clocks of machines may differ."""
SUSPEND_S = 60.0
"""Seconds without a refresh after which a holder may not write: before another process may take the lease."""
WATCH_S = 2.0
"""Seconds between two looks at the lease of another process, and at the age of this process's own lease."""
_logger = logging.getLogger(__name__)


class HeldError(TemporaryError):
    """Another process, `holder`, holds the lease."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


class Lease:
    """A context manager that holds the lease in ``folder`` of ``store`` and refreshes it in a thread.

    Each holder creates a numbered file, which only one process can create; the holder with the highest number owns the
    lease. The lease of a process that died on this machine is taken over immediately. The lease of a process on another
    machine is taken over when it was not refreshed for `STALE_S` seconds; entering waits for this and prints a line.

    A holder whose file could not be refreshed for `SUSPEND_S` seconds is suspended: it may not write until the store
    answers again and shows that no other process took the lease meanwhile. It loses its lease if another process took
    it over, if its file was removed or replaced, and if it was suspended for ``patience_s`` seconds.

    At most one process may write, whatever the delays. A holder first refreshes its file and then looks for a file with
    a higher number. A process that takes a stale lease first creates the file with the higher number and then looks
    whether the older one was refreshed; if it was, this process withdraws. Whichever looks second sees the other.

    Args:
        store: the store of the lease.
        folder: name of the folder of the lease's files.
        lost: called once, in a thread, with the reason if the lease is lost.
        patience_s: seconds for which the lease is kept while the store cannot be reached.
        say: called with a line of text when entering has to wait or replaces a file that names no holder, and when the
            lease is suspended or continues.
        of: what the lease is for, such as the name of a sweep. A file with another name is no lease of it.

    Raises:
        HeldError: (on entering) a running process holds the lease.
        StoreError: the store does not work.
    """

    def __init__(
        self,
        store: Store,
        folder: str,
        lost: Callable[[str], None],
        patience_s: float = 0.0,
        say: Callable[[str], None] = print,
        of: str = "",
    ) -> None:
        self._patience_s = patience_s
        self._root, self._folder = store.root, folder
        self._store, self._tell, self._say = store.child(folder).with_retry_limit(REFRESH_S), lost, say
        self._me = Holder(
            host=os.uname().nodename,
            machine=this_machine(),
            pid=os.getpid(),
            started=started_at(os.getpid()),
            token=uuid.uuid4().hex,
            of=of,
        )
        self._number = 0
        self._over = threading.Event()
        self._lost: str | None = None
        self._said_suspended = False
        self._telling = threading.Lock()
        self._refreshed_at = time.monotonic()
        self._threads = [
            threading.Thread(target=target, name="lease", daemon=True) for target in (self._refresh, self._watch)
        ]

    @property
    def fence(self) -> Fence:
        """The right to write while this lease is held."""
        return Fence(self._root, self._folder, self._number, self._me.token, SUSPEND_S)

    @property
    def suspended(self) -> bool:
        """True if the file could not be refreshed for `SUSPEND_S` seconds."""
        return time.monotonic() - self._refreshed_at > SUSPEND_S

    def check(self) -> None:
        """Check that this process may write, as far as it knows.

        Raises:
            LostLeaseError: the lease is lost.
            UnreachableError: the lease is suspended.
        """
        if self._lost is not None:
            raise LostLeaseError(f"{self._root}/{self._folder}: this driver has lost its lease: {self._lost}")
        if self.suspended:
            raise UnreachableError(f"{self._root}/{self._folder}: {_overdue(SUSPEND_S)}")

    def __enter__(self) -> Self:
        while not self._take():
            pass
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        try:
            if self._lost is None and self._newest() == self._number and self._is_mine():
                self._write(released=True)
        except StoreError as problem:  # the lease expires without a release, too
            _logger.warning("%s", problem)

    def _take(self) -> bool:
        """Try to become the holder; False if another process was faster."""
        number = self._newest()
        replaced = self._await_end(number) if number else None
        if number and replaced is None:
            return False
        self._number = number + 1
        self._refreshed_at = time.monotonic()
        if not self._store.create(file_of(self._number), self._content()):
            return False
        # Another process may have taken the lease, deleted the older files and released the lease since the first look.
        # The holder may have refreshed its file.
        if self._newest() != self._number or (number and not self._is_over(number)):
            self._store.delete(file_of(self._number))
            return False
        for old in lease_numbers(self._store):
            if old < self._number:
                self._store.delete(file_of(old))
        if replaced and replaced.problem:
            self._say(f"{replaced.problem}; this driver has replaced it")
        return True

    def _is_over(self, number: int) -> bool:
        """True if the holder has ended, its lease is stale, or its file was removed."""
        holder, age = self._read(number), self._store.age(file_of(number))
        return holder is None or age is None or holder.ended or age >= STALE_S

    def _await_end(self, number: int) -> Holder | None:
        """Wait until the holder has ended or its lease is stale, and return it; None if its file was removed.

        Raises:
            HeldError: the holder is a running process.
        """
        first_age: float | None = None
        while True:
            holder, age = self._read(number), self._store.age(file_of(number))
            if holder is None or age is None:
                return None
            if holder.ended or age >= STALE_S:
                return holder
            if holder.on_this_machine or (first_age is not None and age < first_age):
                raise HeldError(holder)
            if first_age is None:
                seen = f"{holder} was active here" if not holder.problem else f"{holder.problem}, and was written"
                self._say(
                    f"{seen} {age:.0f} s ago; waiting up to {STALE_S - age:.0f} s to see whether it is still running"
                )
            first_age = age
            time.sleep(WATCH_S)

    def _refresh(self) -> None:
        while not self._over.wait(REFRESH_S) and self._lost is None:
            before = time.monotonic()
            try:
                newest = self._newest()
                if newest > self._number:
                    self._lose(f"another driver, {self._read(newest) or '?'}, has taken this sweep over")
                elif not self._is_mine():
                    self._lose("its file was removed or replaced")
                else:
                    self._write()
                    if (newest := self._newest()) != self._number:
                        self._lose(f"another driver, {self._read(newest) or '?'}, takes this sweep over")
                        return
                    self._refreshed_at = before  # The store may count from the moment at which the request began.
                    if self._said_suspended:
                        self._said_suspended = False
                        self._say("The storage answers again, and the sweep continues")
            except StoreError as problem:
                _logger.debug("%s", problem)

    def _watch(self) -> None:
        """Notice a refresh that is overdue, also while `_refresh` waits for the store."""
        while not self._over.wait(WATCH_S) and self._lost is None:
            if time.monotonic() - self._refreshed_at > SUSPEND_S + self._patience_s:
                self._lose(_overdue(SUSPEND_S + self._patience_s))
            elif self.suspended and not self._said_suspended:
                self._said_suspended = True
                self._say(f"The storage does not answer; the sweep waits for it for up to {duration(self._patience_s)}")

    def _lose(self, reason: str) -> None:
        with self._telling:
            if self._lost is not None:
                return
            self._lost = reason
        self._tell(reason)

    def _is_mine(self) -> bool:
        """True if the lease's file is the one that this process wrote."""
        holder = self._read(self._number)
        return holder is not None and holder.token == self._me.token

    def _read(self, number: int) -> Holder | None:
        return read_holder(self._store, number, self._me.of)

    def _newest(self) -> int:
        return max(lease_numbers(self._store), default=0)

    def _write(self, released: bool = False) -> None:
        self._store.write(file_of(self._number), self._content(released))

    def _content(self, released: bool = False) -> bytes:
        return sealed(self._me.model_copy(update={"released": released, "number": self._number}).model_dump_json())


def _overdue(seconds: float) -> str:
    return f"it could not be refreshed for {seconds:g} s, and another driver may take it over"
