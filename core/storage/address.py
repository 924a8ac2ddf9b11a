"""Addresses of stores: an absolute folder, or ``s3://bucket/prefix`` with an optional endpoint and region."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from core.redaction import HIDDEN, masked

S3 = "s3://"
ALLOWED = "allowed are a folder and s3://BUCKET/PREFIX (with ?endpoint=http://HOST:PORT if AWS_ENDPOINT_URL is not set)"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


@dataclass(frozen=True)
class S3Address:
    """A folder of a bucket.

    Attributes:
        bucket: name of the bucket.
        prefix: path inside the bucket without a slash at either end; may be empty.
        endpoint: ``http(s)://HOST[:PORT]`` of the server. None selects the endpoint of the environment, or Amazon's.
        region: name of the region. None selects the region of the environment.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None

    def __str__(self) -> str:
        options = {"endpoint": self.endpoint, "region": self.region}
        query = urlencode({name: value for name, value in options.items() if value}, safe=":/")
        return S3 + "/".join(part for part in (self.bucket, self.prefix) if part) + (f"?{query}" if query else "")


def is_s3(root: str) -> bool:
    """True if ``root`` starts with ``s3://``."""
    return root.startswith(S3)


def parse_s3(uri: str) -> S3Address:
    """Parse ``s3://bucket/prefix?endpoint=URL&region=NAME``.

    Raises:
        ValueError: the address is malformed or contains access keys; the message never repeats the keys.
    """
    if not is_s3(uri):
        raise ValueError(f"{uri.partition('://')[0]}:// is not a store that this version can use; {ALLOWED}")
    place, _, query = uri.removeprefix(S3).partition("?")
    bucket, _, prefix = place.partition("/")
    if "@" in bucket or ":" in bucket:
        raise ValueError(
            "an s3:// address must not contain access keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "set AWS_PROFILE, or give the machine a role"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{masked(S3 + bucket)} is not the name of a bucket; {ALLOWED}")
    prefix = prefix.rstrip("/")
    if prefix:
        check_inside(prefix)
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        options = {HIDDEN: ""}
    if unknown := options.keys() - {"endpoint", "region"}:
        raise ValueError(f"{masked(S3 + place)}: unknown option {', '.join(sorted(unknown))}; {ALLOWED}")
    endpoint = options.get("endpoint")
    return S3Address(
        bucket, prefix, None if endpoint is None else endpoint_address(endpoint), options.get("region") or None
    )


def check_inside(name: str) -> None:
    """Check that ``name`` (parts joined by ``/``) does not lead out of its store.

    Raises:
        ValueError: a part is empty, ``.`` or ``..``, or the name contains a backslash or a null character.
    """
    if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} is not a valid name inside a store")


def endpoint_address(url: str) -> str:
    """The address ``http(s)://HOST[:PORT]`` of a server.

    Raises:
        ValueError: ``url`` is another address or contains a user name or password, which the message does not repeat.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"endpoint {masked(url)!r}: is malformed; must be http(s)://HOST[:PORT]") from None
    if "@" in unquote(parts.netloc):
        raise ValueError("an endpoint must not contain a user name or password; must be http(s)://HOST[:PORT]")
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"endpoint {masked(url)!r} must be http(s)://HOST[:PORT]")
    return f"{parts.scheme}://{parts.netloc}"
