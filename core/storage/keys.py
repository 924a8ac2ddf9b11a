"""Temporary access keys, which a process uses for S3 in place of its own and which are renewed before they expire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any


@dataclass(frozen=True)
class Keys:
    """Access keys of a session. Neither ``repr`` nor an error shows them.

    Attributes:
        access_key: name of the key.
        secret_key: the key itself.
        token: the session's token.
        expires: time after which the server refuses the keys, in ISO 8601.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expires: str


class NoKeysError(Exception):
    """No keys are available now. The message says why."""


class KeySource:
    """Keys that are fetched when they are first needed, and again before they expire.

    botocore fetches new ones from 15 minutes before the end on. Only in the last 10 minutes does a request fail
    if there are none.

    Args:
        fetch: returns new keys, or raises NoKeysError.
    """

    def __init__(self, fetch: Callable[[], Keys]) -> None:
        self._fetch = fetch

    @cached_property
    def credentials(self) -> Any:
        """The keys in the form in which botocore uses and renews them."""
        from botocore.credentials import DeferredRefreshableCredentials  # The import is slow, and folders need no keys.

        return DeferredRefreshableCredentials(self._renewed, "driver")

    def session(self) -> Any:
        """A boto3 session that finds these keys before all others."""
        import boto3
        import botocore.session
        from botocore.credentials import CredentialProvider

        source = self

        class Provider(CredentialProvider):
            METHOD = "driver"

            def load(self) -> Any:
                return source.credentials

        session = botocore.session.Session()
        session.register_component("data_loader", _descriptions())
        session.get_component("credential_provider").insert_before("env", Provider())
        return boto3.session.Session(botocore_session=session)

    def _renewed(self) -> dict[str, str]:
        from botocore.exceptions import CredentialRetrievalError

        try:
            keys = self._fetch()
        except NoKeysError as error:
            raise CredentialRetrievalError(provider="driver", error_msg=str(error)) from None
        return {
            "access_key": keys.access_key,
            "secret_key": keys.secret_key,
            "token": keys.token,
            "expiry_time": keys.expires,
        }


@cache
def _descriptions() -> Any:
    """The reader of botocore's descriptions of services. Reading them again for each session takes 0.1 s and 12 MB."""
    import botocore.session

    return botocore.session.Session().get_component("data_loader")
