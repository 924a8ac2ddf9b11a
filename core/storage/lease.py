"""A lease in a store: one process at a time, on any machine, holds it; a dead process can be replaced."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ValidationError

from core.storage.errors import StoreError
from core.storage.process_identity import started_at, this_machine
from core.storage.store import Store

REFRESH_S = 15.0
STALE_S = 90.0
"""Seconds without a refresh after which another process may take the lease.

Measured by the store's clock, because the clocks of machines may differ."""
WATCH_S = 2.0
"""Seconds between two looks at the lease of another process."""
_logger = logging.getLogger(__name__)


class Holder(BaseModel):
    """The process that holds or held a lease, as its lease file describes it."""

    host: str
    machine: str
    pid: int
    started: str
    token: str
    released: bool = False

    @property
    def on_this_machine(self) -> bool:
        """True if this process can see the holder's process id."""
        return self.machine == this_machine()

    @property
    def ended(self) -> bool:
        """True if the lease was released or its process has exited; False if this is not known."""
        return self.released or (self.on_this_machine and started_at(self.pid) != self.started)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class HeldError(ValueError):
    """Another process, `holder`, holds the lease."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


class Lease:
    """A context manager that holds the lease in ``folder`` of ``store`` and refreshes it in a thread.

    Each holder creates a numbered file, which only one process can create; the holder with the highest number owns the
    lease. The lease of a process that died on this machine is taken over immediately. The lease of a process on another
    machine is taken over when it was not refreshed for `STALE_S` seconds; entering waits for this and prints a line.

    Args:
        store: the store of the lease.
        folder: name of the folder of the lease's files.
        lost: called once in the thread with the new holder if another process has taken the lease over.
        say: called with a line of text when entering has to wait.

    Raises:
        HeldError: (on entering) a running process holds the lease.
        StoreError: the store does not work.
    """

    def __init__(
        self, store: Store, folder: str, lost: Callable[[Holder], None], say: Callable[[str], None] = print
    ) -> None:
        self._store, self._lost, self._say = store.child(folder).with_retry_limit(REFRESH_S), lost, say
        self._me = Holder(
            host=os.uname().nodename,
            machine=this_machine(),
            pid=os.getpid(),
            started=started_at(os.getpid()),
            token=uuid.uuid4().hex,
        )
        self._number = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="lease", daemon=True)

    def __enter__(self) -> Self:
        while not self._take():
            pass
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        try:
            if self._newest() == self._number:
                self._write(released=True)
        except StoreError as problem:  # the lease expires without a release, too
            _logger.warning("%s", problem)

    def _take(self) -> bool:
        """Try to become the holder; False if another process was faster."""
        number = self._newest()
        if number:
            self._await_end(number)
        self._number = number + 1
        if not self._store.create(_file(self._number), self._content()):
            return False
        # another process may have taken the lease, deleted the older files and released the lease since the first look
        if self._newest() != self._number:
            self._store.delete(_file(self._number))
            return False
        for old in self._numbers():
            if old < self._number:
                self._store.delete(_file(old))
        return True

    def _await_end(self, number: int) -> None:
        """Wait until the holder has ended or its lease is stale.

        Raises:
            HeldError: the holder is a running process.
        """
        first_age: float | None = None
        while True:
            holder, age = self._holder(number), self._store.age(_file(number))
            if holder is None or age is None or holder.ended or age >= STALE_S:
                return
            if holder.on_this_machine or (first_age is not None and age < first_age):
                raise HeldError(holder)
            if first_age is None:
                self._say(
                    f"{holder} was active here {age:.0f} s ago; waiting up to {STALE_S - age:.0f} s "
                    "to see whether it is still running"
                )
            first_age = age
            time.sleep(WATCH_S)

    def _refresh(self) -> None:
        while not self._over.wait(REFRESH_S):
            try:
                newest = self._newest()
                if newest > self._number:
                    holder = self._holder(newest)
                    if holder is not None:
                        self._lost(holder)
                    return
                self._write()
            except StoreError as problem:
                _logger.warning("%s", problem)

    def _holder(self, number: int) -> Holder | None:
        content = self._store.read(_file(number))
        try:
            return None if content is None else Holder.model_validate_json(content)
        except ValidationError:  # a damaged file names no process; it counts as held until it is stale
            return Holder(host="?", machine="?", pid=0, started="", token="")

    def _newest(self) -> int:
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        return [int(name.removesuffix(".json")) for name in self._store.names() if name[:-5].isdigit()]

    def _write(self, released: bool = False) -> None:
        self._store.write(_file(self._number), self._content(released))

    def _content(self, released: bool = False) -> bytes:
        return json.dumps(self._me.model_copy(update={"released": released}).model_dump()).encode()


def _file(number: int) -> str:
    return f"{number:08d}.json"
