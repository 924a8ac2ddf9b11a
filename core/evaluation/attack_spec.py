"""One attack of an evaluation, with everything that decides what it finds."""

from __future__ import annotations

from importlib import metadata
from typing import Literal

from core.config import digest
from core.config.base import Options
from core.source import code_version


class AttackSpec(Options):
    """An l-infinity attack; its `key` names its results."""

    name: str
    """Key in records: ``apgd-ce``, ``pgd-10``, ``clean``; ``standard/apgd-t`` for a link of a cascade."""
    library: Literal["pyautoattack", "unmask"]
    epsilon: float
    steps: int | None = None
    restarts: int | None = None
    queries: int | None = None
    targets: int | None = None
    """Target classes of a targeted attack."""
    step_fraction: float | None = None
    """Step size of PGD-like attacks as a fraction of epsilon."""
    source: str | None = None
    """SHA-256 of the checkpoint that a transfer attack is made on."""
    after: tuple[str, ...] = ()
    """Names of the earlier links of a cascade: only images that all of them left correct are attacked."""

    @property
    def method(self) -> str:
        """The attack that the library runs: the name without its cascade."""
        return self.name.rpartition("/")[2]

    @property
    def key(self) -> str:
        """Identity of results: a later version of the library has other ones."""
        version = metadata.version(self.library) if self.library == "pyautoattack" else ""
        return f"{self.name}-{digest([self.model_dump(mode='json'), version])}"

    @property
    def provider(self) -> str:
        """Library and version."""
        return code_version() if self.library == "unmask" else f"{self.library} {metadata.version(self.library)}"
