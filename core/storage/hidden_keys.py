"""Access keys in the environment of a driver, which its trials must not get."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from core.storage.keys import KeySource
from core.storage.s3 import use_keys

VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""The variables with keys that Ray Tune copies."""


@contextmanager
def hidden_keys() -> Iterator[None]:
    """Take the keys of this process out of its environment. Its buckets go on using them.

    Ray Tune copies them from there into the environment of each trial, which Ray writes into its log in plain text.
    Keys from a profile or from the machine's role are not in the environment, and are not copied.
    """
    found = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    if not found:
        yield
        return
    use_keys(_Own(found))
    for name in found:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(found)
        use_keys(None)


class _Own(KeySource):
    """The keys that were in the environment, which nobody renews."""

    def __init__(self, found: dict[str, str]) -> None:
        self._found = found

    @cached_property
    def credentials(self) -> Any:
        from botocore.credentials import Credentials

        access, secret, *tokens = (self._found.get(name) for name in VARIABLES)
        return Credentials(access, secret, next((token for token in tokens if token), None))
