"""One owner at a time of a name in a store, over machines, and over owners that died."""

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
_logger = logging.getLogger(__name__)


class Holder(BaseModel):
    """Who holds, or held, a lease: the content of its file."""

    host: str
    machine: str
    pid: int
    started: str
    token: str
    released: bool = False

    @property
    def here(self) -> bool:
        """Is it, or was it, a process that this one can see?"""
        return self.machine == this_machine()

    @property
    def gone(self) -> bool:
        """Is it known to be over, whatever the time?"""
        return self.released or (self.here and started_at(self.pid) != self.started)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class HeldError(ValueError):
    """Somebody else holds the lease; `holder` says who."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


class Lease:
    """A context manager that holds ``folder`` of ``store``, and keeps on refreshing it in a thread.

    Every owner is a numbered file that only it could create; the highest number owns. An owner that died on this
    machine is followed at once, another one when it has been silent for `STALE_S`: entering then waits, and says so.

    Args:
        store: where it is.
        folder: name of the folder of its files.
        lost: called once in the thread, with the new owner, if another process has taken the lease over.
        say: told why entering takes long.

    Raises:
        HeldError: (on entering) a living process holds it.
        StoreError: the store does not work.
    """

    def __init__(
        self, store: Store, folder: str, lost: Callable[[Holder], None], say: Callable[[str], None] = print
    ) -> None:
        self._store, self._lost, self._say = store.child(folder).patient(REFRESH_S), lost, say
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
        while not self._taken():
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
        except StoreError as problem:  # it goes stale by itself
            _logger.warning("%s", problem)

    def _taken(self) -> bool:
        number = self._newest()
        if number:
            self._await_end(number)
        self._number = number + 1
        if not self._store.create(_file(self._number), self._content()):
            return False
        # another one may have come and gone since we looked, and have taken its predecessors' files away
        if self._newest() != self._number:
            self._store.delete(_file(self._number))
            return False
        for old in self._numbers():
            if old < self._number:
                self._store.delete(_file(old))
        return True

    def _await_end(self, number: int) -> None:
        """Return once the owner is known to be over; HeldError if it shows life."""
        first_age: float | None = None
        while True:
            holder, age = self._holder(number), self._store.age(_file(number))
            if holder is None or age is None or holder.gone or age >= STALE_S:
                return
            if holder.here or (first_age is not None and age < first_age):
                raise HeldError(holder)
            if first_age is None:
                self._say(f"{holder} was at work here {age:.0f} s ago; waiting up to {STALE_S - age:.0f} s to see")
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
        except ValidationError:  # it names no owner, and goes stale
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
