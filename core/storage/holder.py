"""The files of a lease: who holds it, and how often it changed hands."""

from __future__ import annotations

import re

from pydantic import BaseModel, PrivateAttr, ValidationError

from core.seal import ChecksumError, check_seal
from core.storage.process_identity import started_at, this_machine
from core.storage.store import Store

_FILE = re.compile(r"([0-9]{8,})\.json")


class Holder(BaseModel):
    """The process that holds or held a lease, as its lease file describes it.

    Attributes:
        of: what the lease is for, such as the name of a sweep; empty in files of earlier versions.
        number: number of the lease's file; 0 in files of earlier versions.
    """

    host: str
    machine: str
    pid: int
    started: str
    token: str
    released: bool = False
    of: str = ""
    number: int = 0
    _problem: str = PrivateAttr("")

    @property
    def problem(self) -> str:
        """What is wrong with a file that names no holder, as a sentence; empty if nothing is."""
        return self._problem

    @property
    def on_this_machine(self) -> bool:
        """True if this process can see the holder's process id."""
        return self.machine == this_machine()

    @property
    def ended(self) -> bool:
        """True if the lease was released or its process has exited; False if this is not known."""
        return self.released or (self.on_this_machine and started_at(self.pid) != self.started)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if not self.problem else f"which is not known ({self.problem})"


def read_holder(store: Store, number: int, of: str = "") -> Holder | None:
    """The process that a lease's file names; None if there is no such file.

    A file that is damaged, or that was written with another number or for something else than ``of``, names no process.
    It counts as held until it is stale, and `Holder.problem` says what is wrong with it.
    """
    content = store.read(file_of(number))
    return None if content is None else parse_holder(store, number, content, of)


def parse_holder(store: Store, number: int, content: bytes, of: str = "") -> Holder:
    """The process that the content of a lease's file names, see `read_holder`."""
    where = store.place(file_of(number))
    try:
        check_seal(content)
        holder = Holder.model_validate_json(content)
    except (ChecksumError, ValidationError):
        return _unknown(f"{where} is damaged")
    if (holder.number or number) != number or (of and holder.of and holder.of != of):
        return _unknown(f"{where} is a copy of the lease {file_of(holder.number)} of {holder.of}")
    return holder


def _unknown(problem: str) -> Holder:
    holder = Holder(host="?", machine="?", pid=0, started="", token="")
    holder._problem = problem
    return holder


def lease_numbers(store: Store) -> list[int]:
    """The numbers of the lease files in ``store``. Other files do not count."""
    return [int(match[1]) for name in store.names() if (match := _FILE.fullmatch(name))]


def file_of(number: int) -> str:
    """The name of the file of the holder with this number."""
    return f"{number:08d}.json"
