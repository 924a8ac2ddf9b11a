"""The right of processes on other machines to write while one lease is held."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from core.storage.errors import StoreError
from core.storage.holder import lease_numbers, read_holder
from core.storage.store import Store
from core.temporary import TemporaryError


class LostLeaseError(StoreError, TemporaryError):
    """A process may not write any more, because its lease is lost."""


@dataclass(frozen=True)
class Fence:
    """The right to write while one lease is held, for processes on other machines. It can be passed on as JSON.

    A writer checks the fence immediately before it writes. Stores have no write that depends on another file. A process
    that stops between the check and the write can therefore still write once. The limits of `core.storage.lease` leave
    it `STALE_S` minus `SUSPEND_S` seconds until another process may hold the lease.

    Attributes:
        root: root of the store that has the lease.
        folder: name of the folder of the lease's files.
        number: number of the lease's file.
        token: the holder's token.
    """

    root: str
    folder: str
    number: int
    token: str

    def check(self) -> None:
        """Check that the lease is held by the same holder as when the fence was made.

        Raises:
            LostLeaseError: another process holds the lease, or the lease was removed.
            UnreachableError: the store's server does not answer.
            StoreError: the store does not work.
        """
        store = self._store
        holder = read_holder(store, self.number)
        newest = max(lease_numbers(store), default=0)
        if newest != self.number or holder is None or holder.token != self.token:
            by = read_holder(store, newest) if newest else None
            taken = f"another driver, {by}, holds it now" if by else "it was removed"
            raise LostLeaseError(f"{self.root}/{self.folder}: the driver of this trial has lost its lease; {taken}")

    @cached_property
    def _store(self) -> Store:
        """The store of the lease's files, opened once, because an S3 client takes long to create."""
        return Store(self.root).child(self.folder).with_retry_limit(0)
