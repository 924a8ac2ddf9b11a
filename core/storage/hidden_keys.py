"""Access keys in the environment of a driver, which its trials must not get."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

from core.storage.keys import KeySource
from core.storage.s3 import use_keys

VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""The variables with keys that Ray Tune copies."""


class HiddenKeys:
    """A context manager that can take the keys of this process out of its environment. Buckets go on using them.

    Ray Tune copies them from there into the environment of its trials, when it creates the first of them, and Ray
    writes that environment into its log in plain text. Other libraries of this process may need the keys, such as
    MLflow where it writes artifacts to S3, and so they are hidden for as short a time as possible. Keys from a profile
    or from the machine's role are not in the environment, and are not copied.
    """

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def __enter__(self) -> HiddenKeys:
        """Hide nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Show the keys."""
        self.show()

    def __getstate__(self) -> dict[str, str]:
        # Tune pickles its callbacks into a file, for a restore that sweeps do not use.
        return {}

    def hide(self) -> None:
        """Take the keys out of the environment. A second call changes nothing."""
        found = {name: os.environ[name] for name in VARIABLES if name in os.environ}
        if not found:
            return
        if found.get(VARIABLES[0]):  # boto3 ignores the others without a name of the key.
            _keep_in_default_session()
            use_keys(_EnvironmentKeys(found))
        self._found = found
        for name in found:
            del os.environ[name]

    def show(self) -> None:
        """Put the keys back. A second call changes nothing."""
        if self._found:
            os.environ.update(self._found)
            use_keys(None)
            self._found = {}


def _keep_in_default_session() -> None:
    """Let the session that other libraries share remember the keys, which it looks for only once."""
    import boto3

    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
    boto3.DEFAULT_SESSION.get_credentials()


class _EnvironmentKeys(KeySource):
    """The keys that were in the environment. They are never renewed."""

    def __init__(self, found: dict[str, str]) -> None:
        self._found = found

    @cached_property
    def credentials(self) -> Any:
        from botocore.credentials import Credentials

        access, secret, *tokens = (self._found.get(name) for name in VARIABLES)
        return Credentials(access, secret, next((token for token in tokens if token), None))
