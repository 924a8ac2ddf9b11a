"""Addresses of stores: an absolute folder or ``s3://bucket/prefix``, with an endpoint where it isn't Amazon's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

S3 = "s3://"
ALLOWED = "allowed are a folder and s3://BUCKET/PREFIX (with ?endpoint=http://HOST:PORT if AWS_ENDPOINT_URL is not set)"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


@dataclass(frozen=True)
class S3Address:
    """A folder of a bucket.

    Attributes:
        bucket: its name.
        prefix: path inside the bucket, without slashes at its ends; may be empty.
        endpoint: ``http(s)://HOST[:PORT]`` of the server; None: what the environment says, else Amazon's.
        region: None: what the environment says.
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
    """Is it meant as an address in an object store?"""
    return root.startswith(S3)


def parse_s3(uri: str) -> S3Address:
    """The address behind ``s3://bucket/prefix?endpoint=URL&region=NAME``.

    Raises:
        ValueError: it is no such address, or holds keys; keys are never repeated in the message.
    """
    if not is_s3(uri):
        raise ValueError(f"{uri.partition('://')[0]}:// is no store that this version can use; {ALLOWED}")
    place, _, query = uri.removeprefix(S3).partition("?")
    bucket, _, prefix = place.partition("/")
    if "@" in bucket or ":" in bucket:
        raise ValueError(
            "an s3:// address must not hold keys: give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "a profile (AWS_PROFILE) or the machine's role"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{S3}{bucket} is not the name of a bucket; {ALLOWED}")
    prefix = prefix.rstrip("/")
    if prefix:
        check_inside(prefix)
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        options = {query.partition("=")[0]: ""}
    if unknown := options.keys() - {"endpoint", "region"}:
        raise ValueError(f"{S3}{place}: unknown option {', '.join(sorted(unknown))}; {ALLOWED}")
    endpoint = options.get("endpoint")
    return S3Address(bucket, prefix, None if endpoint is None else _endpoint(endpoint), options.get("region") or None)


def check_inside(name: str) -> None:
    """Raise ValueError unless ``name`` (parts joined by ``/``) stays below the store that it is a name in."""
    if any(part in ("", ".", "..") for part in name.split("/")) or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} is not a name inside a store")


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"endpoint {url!r}: {error}; must be http(s)://HOST[:PORT]") from error
    if "@" in parts.netloc:
        raise ValueError("an endpoint must not hold a user name or password; must be http(s)://HOST[:PORT]")
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"endpoint {url!r} must be http(s)://HOST[:PORT]")
    return f"{parts.scheme}://{parts.netloc}"
