"""One attack of an evaluation, with all settings that affect its result."""

from __future__ import annotations

from importlib import metadata
from typing import Literal

from core.config import digest
from core.config.base import Options
from core.source import code_version


class AttackSpec(Options):
    """An l-infinity attack, whose `key` identifies its stored results."""

    name: str
    """Key in records: ``apgd-ce``, ``pgd-10``, ``clean``; ``standard/apgd-t`` for an attack of a cascade."""
    library: Literal["pyautoattack", "unmask"]
    epsilon: float
    steps: int | None = None
    restarts: int | None = None
    queries: int | None = None
    targets: int | None = None
    """Number of target classes of a targeted attack."""
    step_fraction: float | None = None
    """Step size of PGD-like attacks as a fraction of epsilon."""
    source: str | None = None
    """SHA-256 of the checkpoint on which a transfer attack is made."""
    after: tuple[str, ...] = ()
    """Names of the earlier attacks of a cascade: only images that all of them left correct are attacked."""

    @property
    def method(self) -> str:
        """The library's name of the attack, which is the name without its cascade."""
        return self.name.rpartition("/")[2]

    @property
    def key(self) -> str:
        """Identity of stored results, which includes the settings and the version of pyautoattack."""
        version = metadata.version(self.library) if self.library == "pyautoattack" else ""
        return f"{self.name}-{digest([self.model_dump(mode='json'), version])}"

    @property
    def provider(self) -> str:
        """The library with its version, as `Measurement.library` records it."""
        return code_version() if self.library == "unmask" else f"{self.library} {metadata.version(self.library)}"
