"""The files of a lease: who holds it, and how often it changed hands."""

from __future__ import annotations

import re

from pydantic import BaseModel, ValidationError

from core.storage.process_identity import started_at, this_machine
from core.storage.store import Store

_FILE = re.compile(r"([0-9]{8,})\.json")


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


def read_holder(store: Store, number: int) -> Holder | None:
    """The process that a lease's file names; None if there is no such file."""
    content = store.read(file_of(number))
    try:
        return None if content is None else Holder.model_validate_json(content)
    except ValidationError:  # a damaged file names no process; it counts as held until it is stale
        return Holder(host="?", machine="?", pid=0, started="", token="")


def lease_numbers(store: Store) -> list[int]:
    """The numbers of the lease files in ``store``. Other files do not count."""
    return [int(match[1]) for name in store.names() if (match := _FILE.fullmatch(name))]


def file_of(number: int) -> str:
    """The name of the file of the holder with this number."""
    return f"{number:08d}.json"
