"""The right of processes on other machines to write while one lease is held."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from core.storage.errors import StoreError, UnreachableError
from core.storage.holder import file_of, lease_numbers, parse_holder, read_holder
from core.storage.store import Store
from core.temporary import TemporaryError


class LostLeaseError(StoreError, TemporaryError):
    """A process may not write any more, because its lease is lost."""


@dataclass(frozen=True)
class Fence:
    """The right to write while one lease is held, for processes on other machines. It can be passed on as JSON.

    A writer checks the fence immediately before it writes. Stores have no write that depends on another file, and so a
    write that has begun can end while another process holds the lease already. This happens to a write that lasts
    longer than `STALE_S` minus `SUSPEND_S` seconds (see `core.storage.lease`): a request to a server may last
    longer, and a process may be stopped after its check. A holder that is killed can be replaced at once, and leaves no
    such time. What must not be replaced is therefore looked for and written with `Store.create`, which is
    sure on servers that know ``If-None-Match`` only.

    Attributes:
        root: root of the store that has the lease.
        folder: name of the folder of the lease's files.
        number: number of the lease's file.
        token: the holder's token.
        limit_s: age of the lease's file, in seconds, from which on its holder may not write.
    """

    root: str
    folder: str
    number: int
    token: str
    limit_s: float

    def check(self) -> None:
        """Check that the lease is held by the same holder as when the fence was made, and is refreshed.

        Raises:
            LostLeaseError: another process holds the lease, or the lease was released or removed.
            UnreachableError: the lease was not refreshed for ``limit_s`` seconds, or the server does not answer.
            StoreError: the store does not work.
        """
        store = self._store
        found = store.read_with_age(file_of(self.number))
        holder = parse_holder(store, self.number, found[0]) if found else None
        newest = max(lease_numbers(store), default=0)
        if newest != self.number or holder is None or holder.token != self.token:
            by = read_holder(store, newest) if newest else None
            taken = f"another driver, {by}, holds it now" if by else "it was removed"
            raise LostLeaseError(f"{self.root}/{self.folder}: the driver of this trial has lost its lease; {taken}")
        if holder.released:
            raise LostLeaseError(f"{self.root}/{self.folder}: the driver of this trial has ended")
        if found and found[1] >= self.limit_s:
            raise UnreachableError(
                f"{self.root}/{self.folder}: the driver of this trial could not refresh its lease for "
                f"{self.limit_s:g} s, and another driver may take it over"
            )

    @cached_property
    def _store(self) -> Store:
        """The store of the lease's files, opened once, because an S3 client takes long to create."""
        return Store(self.root).child(self.folder).with_retry_limit(0)
