"""Files in a bucket of any S3 server, through boto3."""

from __future__ import annotations

import base64
import copy
import hashlib
import logging
import os
import random
import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from core.redaction import without_secrets
from core.storage.address import S3Address, endpoint_address
from core.storage.keys import KeySource
from core.storage.s3_errors import Problem, explain

ENDPOINT = "AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3, or endpoint_url in ~/.aws/config"
REGION = "AWS_REGION or AWS_DEFAULT_REGION, or region in ~/.aws/config"
OUTAGE_S = 600.0
"""Seconds for which a request is repeated while the server is unreachable, stalled or overloaded."""
PROBE_S = 15.0
"""The same limit at start-up, where a user waits."""
FIRST_DELAY_S, MAX_DELAY_S = 0.5, 20.0
CONNECT_S, ANSWER_S = 10, 60
WARN_EVERY_S = 60.0
"""Least seconds between two warnings of one process about a server that does not answer."""
MAX_CLIENTS = 8
"""Largest number of clients that a process keeps. A process that trains many trials has other keys for each of them."""
_warned_at = -WARN_EVERY_S
_keys: KeySource | None = None
_jitter = random.Random()
_logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Bucket:
    """Objects below an address.

    boto3 finds the keys, the profile and the region (environment, ``~/.aws``, the machine's role), and also the
    endpoint (``AWS_ENDPOINT_URL``) unless the address has one. ``root`` contains the endpoint and the region that were
    found, which lets other processes reach the same server.

    An upload carries its MD5, and the server must refuse content that does not match. If the ETag in the answer is that
    MD5, the upload is verified. An ETag may be another value (encryption by KMS); then the object is read back.

    A request that fails for a temporary reason (no connection, no answer within `ANSWER_S` seconds, status 5xx,
    throttling, a wrong clock) is repeated for ``retry_s`` seconds with growing pauses. A permanent reason (wrong keys,
    missing rights, no such bucket) is an error at once.

    Args:
        address: the address.
        retry_s: seconds for which a request is repeated.
        keys: keys to use. None selects those of `use_keys`, or those that boto3 finds.

    Raises:
        ValueError: the endpoint of the environment is no address of a server, or contains a password.
    """

    def __init__(self, address: S3Address, retry_s: float = OUTAGE_S, keys: KeySource | None = None) -> None:
        from botocore.exceptions import InvalidRegionError

        try:
            self._client = _client(address.endpoint, address.region, keys or _keys)
        except InvalidRegionError as error:
            raise ValueError(f"{REGION}: {error}") from error
        except ValueError as error:  # boto3 refuses an address without http://
            raise ValueError(f"{ENDPOINT}: {without_secrets(str(error))} must be http(s)://HOST[:PORT]") from error
        meta = self._client.meta
        region = None if meta.region_name in (None, "aws-global") else meta.region_name
        endpoint = _checked(meta.endpoint_url) if _is_custom(meta.endpoint_url) else None
        self.address = S3Address(address.bucket, address.prefix, endpoint, region)
        self.root = str(self.address)
        self.retry_s = retry_s

    def with_retry_limit(self, seconds: float) -> Bucket:
        """The same bucket, whose requests are repeated for at most ``seconds``."""
        bucket = copy.copy(self)
        bucket.retry_s = seconds
        return bucket

    def at(self, path: str) -> str:
        """The object's address, as messages show it."""
        return f"s3://{self.address.bucket}/{self._key(path)}".rstrip("/")

    def read(self, path: str) -> bytes | None:
        """The content of the object; None if there is no such object."""

        def get() -> bytes:
            content: bytes = self._client.get_object(Bucket=self.address.bucket, Key=self._key(path))["Body"].read()
            return content

        return self._call_or("NoSuchKey", None, "read", path, get)

    def write(self, path: str, content: bytes) -> None:
        """Write the object; the server shows an old object until the new one is complete."""
        self._call("write", path, lambda: self._put(path, content))

    def create(self, path: str, content: bytes) -> bool:
        """Write the object and return True; return False if the object exists already."""

        def put() -> bool:
            self._put(path, content, IfNoneMatch="*")
            return True

        if self._call_or("PreconditionFailed", False, "write", path, put):
            return True
        # the server's answer to our own first request may have been lost, in which case the object is ours
        return self.read(path) == content

    def delete(self, path: str) -> None:
        """Delete the object if it exists."""
        self._call("delete", path, lambda: self._client.delete_object(**self._object(path)))

    def list(self, path: str) -> tuple[list[str], list[str]]:
        """Sorted names of the folders and of the objects directly below ``path``."""
        start = f"{self._key(path)}/" if self._key(path) else ""

        def pages() -> list[dict[str, Any]]:
            pager = self._client.get_paginator("list_objects_v2")
            return list(pager.paginate(Bucket=self.address.bucket, Prefix=start, Delimiter="/"))

        found = self._call("list", path, pages)
        folders = [entry["Prefix"][len(start) : -1] for page in found for entry in page.get("CommonPrefixes", ())]
        files = [entry["Key"][len(start) :] for page in found for entry in page.get("Contents", ())]
        return sorted(folders), sorted(name for name in files if name)

    def age(self, path: str) -> float | None:
        """Seconds since the object was written, measured by the server's clock; None if there is no such object."""

        def head() -> float:
            return _age(self._client.head_object(**self._object(path)))

        return self._call_or("404", None, "read", path, head)

    def read_with_age(self, path: str) -> tuple[bytes, float] | None:
        """The content of the object and its age, see `age`, in one request; None if there is no such object."""

        def get() -> tuple[bytes, float]:
            found = self._client.get_object(**self._object(path))
            return found["Body"].read(), _age(found)

        return self._call_or("NoSuchKey", None, "read", path, get)

    def md5(self, path: str) -> str | None:
        """MD5 of the object; empty if its ETag is not an MD5; None if there is no such object."""

        def head() -> str:
            etag = str(self._client.head_object(**self._object(path))["ETag"]).strip('"')
            return etag if re.fullmatch("[0-9a-f]{32}", etag) else ""

        return self._call_or("404", None, "read", path, head)

    def probe(self, path: str) -> bool:
        """Write, read, list and delete an object, with requests that are repeated for at most `PROBE_S` seconds.

        Returns:
            False if the server replaces an object that should only be created.
        """
        bucket = self.with_retry_limit(PROBE_S)
        bucket.write(path, b"unmask")
        bucket.read(path)
        bucket.list("")
        # Another driver's probe may delete the object once, but hardly twice.
        creates = not all(bucket.create(path, content) for content in (b"first", b"second"))
        bucket.delete(path)
        return creates

    def _put(self, path: str, content: bytes, **condition: str) -> None:
        md5 = hashlib.md5(content, usedforsecurity=False)
        checked = {"ContentMD5": base64.b64encode(md5.digest()).decode(), **condition}
        stored = self._client.put_object(**self._object(path), Body=content, **checked)
        if stored.get("ETag", "").strip('"') == md5.hexdigest():
            return
        if self._kept(path) != content:
            raise NotKeptError

    def _kept(self, path: str) -> bytes | None:
        from botocore.exceptions import ClientError

        try:
            return bytes(self._client.get_object(**self._object(path))["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None  # another process has deleted it meanwhile

    def _call(self, action: str, path: str, request: Callable[[], Answer]) -> Answer:
        """The answer to ``request``, which is repeated while it fails for a temporary reason.

        Raises:
            StoreError: the request failed for a permanent reason, or for longer than the retry limit.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.exceptions import HTTPClientError as NoAnswerError

        started, delay = time.monotonic(), FIRST_DELAY_S
        while True:
            try:
                return request()
            except (ClientError, BotoCoreError, NoAnswerError, NotKeptError) as error:
                problem = explain(error, self.address)
                waited = time.monotonic() - started
                if not problem.temporary or waited + delay > self.retry_s:
                    raise problem.as_error(self.at(path), action, waited) from error
                self._warn(problem, waited)
            time.sleep(delay * _jitter.uniform(0.5, 1.0))
            delay = min(2 * delay, MAX_DELAY_S)

    def _call_or(self, code: str, answer: Answer, action: str, path: str, request: Callable[[], Answer]) -> Answer:
        """The same as `_call`, but with the result ``answer`` if the server answers with the error ``code``."""
        from botocore.exceptions import ClientError

        def ask() -> Answer:
            try:
                return request()
            except ClientError as error:
                if error.response["Error"]["Code"] != code:
                    raise
                return answer

        return self._call(action, path, ask)

    def _warn(self, problem: Problem, waited: float) -> None:
        global _warned_at
        if waited > 2 and time.monotonic() - _warned_at > WARN_EVERY_S:
            _warned_at = time.monotonic()
            reason = without_secrets(problem.reason)
            _logger.warning("%s; trying again for up to %.0f s", reason, self.retry_s - waited)

    def _object(self, path: str) -> dict[str, str]:
        return {"Bucket": self.address.bucket, "Key": self._key(path)}

    def _key(self, path: str) -> str:
        return "/".join(part for part in (self.address.prefix, path) if part)


class NotKeptError(Exception):
    """The server accepted an object but returns other content for it."""


def use_keys(keys: KeySource | None) -> None:
    """Let all buckets that this process opens from now on use these keys; None: those that boto3 finds.

    A bucket that is open already keeps its keys. A thread that an ended trial has left behind therefore cannot use
    those of the next trial on its own files.
    """
    global _keys
    _keys = keys


@lru_cache(MAX_CLIENTS)
def _client(endpoint: str | None, region: str | None, keys: KeySource | None) -> Any:
    import boto3
    from botocore.config import Config

    session = keys.session() if keys else boto3.session.Session()
    options = {"endpoint_url": endpoint, "region_name": region or os.environ.get("AWS_REGION")}
    common = Config(
        connect_timeout=CONNECT_S,
        read_timeout=ANSWER_S,
        retries={"total_max_attempts": 1, "mode": "standard"},  # `Bucket` repeats requests and logs it
        max_pool_connections=32,
        tcp_keepalive=True,
        # other servers than Amazon's refuse the newer checksums, which are not needed: every upload carries its MD5
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = session.client("s3", **options, config=common)
    if not _is_custom(client.meta.endpoint_url):
        return client
    # most other servers have no host name for each bucket
    return session.client("s3", **options, config=common.merge(Config(s3={"addressing_style": "path"})))


def _is_custom(endpoint: str) -> bool:
    return "amazonaws.com" not in endpoint


def _checked(endpoint: str) -> str:
    """The endpoint that boto3 found in the environment, which was not parsed with the address of the storage."""
    try:
        return endpoint_address(endpoint)
    except ValueError as error:
        raise ValueError(f"{ENDPOINT}: {error}") from error


def _age(answer: dict[str, Any]) -> float:
    """Seconds from the last change of an object to the server's answer, by the server's clock."""
    now = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    return _seconds(now) - float(answer["LastModified"].timestamp())


def _seconds(date: str) -> float:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(date).timestamp()
