"""Files that may only be changed while a check passes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from core.storage.errors import UnreachableError
from core.storage.files import Files

ATTEMPT_S = 15.0
"""Seconds for which a backend repeats a change before the check is made again."""
FIRST_DELAY_S, MAX_DELAY_S = 0.5, 10.0
_jitter = random.Random()
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class GuardedFiles:
    """A backend that calls ``check`` before each attempt to change a file and passes everything else on.

    A check says nothing about later moments. A change that must be repeated for ``patience_s`` seconds, because the
    server is away, is therefore checked again each time.
    """

    files: Files
    check: Callable[[], None]
    patience_s: float

    @property
    def root(self) -> str:
        return self.files.root

    def at(self, path: str) -> str:
        return self.files.at(path)

    def with_retry_limit(self, seconds: float) -> GuardedFiles:
        return GuardedFiles(self.files.with_retry_limit(seconds), self.check, seconds)

    def read(self, path: str) -> bytes | None:
        return self.files.read(path)

    def write(self, path: str, content: bytes) -> None:
        self._change(lambda files: files.write(path, content))

    def create(self, path: str, content: bytes) -> bool:
        return self._change(lambda files: files.create(path, content))

    def delete(self, path: str) -> None:
        self._change(lambda files: files.delete(path))

    def list(self, path: str) -> tuple[list[str], list[str]]:
        return self.files.list(path)

    def age(self, path: str) -> float | None:
        return self.files.age(path)

    def read_with_age(self, path: str) -> tuple[bytes, float] | None:
        return self.files.read_with_age(path)

    def md5(self, path: str) -> str | None:
        return self.files.md5(path)

    def probe(self, path: str) -> bool:
        self.check()
        return self.files.probe(path)

    def _change(self, change: Callable[[Files], Answer]) -> Answer:
        files = self.files.with_retry_limit(min(self.patience_s, ATTEMPT_S))
        started, delay = time.monotonic(), FIRST_DELAY_S
        while True:
            try:
                self.check()
                return change(files)
            except UnreachableError:
                if time.monotonic() - started + delay > self.patience_s:
                    raise
            time.sleep(delay * _jitter.uniform(0.5, 1.0))
            delay = min(2 * delay, MAX_DELAY_S)
