"""Files that may only be changed while a check passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.storage.files import Files


@dataclass(frozen=True)
class GuardedFiles:
    """A backend that calls ``check`` before each change of a file and passes everything else on."""

    files: Files
    check: Callable[[], None]

    @property
    def root(self) -> str:
        return self.files.root

    def at(self, path: str) -> str:
        return self.files.at(path)

    def with_retry_limit(self, seconds: float) -> GuardedFiles:
        return GuardedFiles(self.files.with_retry_limit(seconds), self.check)

    def read(self, path: str) -> bytes | None:
        return self.files.read(path)

    def write(self, path: str, content: bytes) -> None:
        self.check()
        self.files.write(path, content)

    def create(self, path: str, content: bytes) -> bool:
        self.check()
        return self.files.create(path, content)

    def delete(self, path: str) -> None:
        self.check()
        self.files.delete(path)

    def list(self, path: str) -> tuple[list[str], list[str]]:
        return self.files.list(path)

    def age(self, path: str) -> float | None:
        return self.files.age(path)

    def md5(self, path: str) -> str | None:
        return self.files.md5(path)

    def probe(self, path: str) -> None:
        self.check()
        self.files.probe(path)
