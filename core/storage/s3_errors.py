"""One-line explanations of errors of S3 servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from core.storage.address import S3Address
from core.storage.errors import StoreError, UnreachableError

OVERLOADED = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
TEMPORARY = OVERLOADED | {
    *("InternalError", "ServiceUnavailable", "RequestTimeout", "RequestTimeTooSkewed"),
    *("ConditionalRequestConflict", "OperationAborted", "BadDigest", "XAmzContentSHA256Mismatch"),
}
SKEW = timedelta(minutes=15)
"""Difference of clocks from which on S3 refuses requests."""
FULL = {"QuotaExceeded", "InsufficientStorage", "507"}


@dataclass(frozen=True)
class Problem:
    """Why a request failed."""

    reason: str
    temporary: bool
    """True if a repeated request may succeed."""

    def as_error(self, where: str, action: str, waited_s: float) -> StoreError:
        """The error for an operation on the object ``where`` that failed after ``waited_s`` seconds."""
        tried = f" (tried for {waited_s:.0f} s)" if waited_s >= 1 else ""
        kind = UnreachableError if self.temporary else StoreError
        return kind(f"{where}: cannot {action} it: {self.reason}{tried}")


def explain(error: Exception, address: S3Address) -> Problem:
    """The reason of an error of boto3. The reason never contains an access key."""
    from botocore import exceptions as boto

    server = address.endpoint or "Amazon S3"
    match error:
        case boto.ClientError():
            return _refusal(error, address, server)
        case boto.CredentialRetrievalError():
            return Problem(_line(error), True)
        case boto.NoCredentialsError() | boto.PartialCredentialsError():
            return Problem(
                "no access key was found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the "
                "machine a role",
                False,
            )
        case boto.SSLError():
            return Problem(f"no secure connection to {server}: {_line(error)}", False)
        case boto.ReadTimeoutError() | boto.ConnectTimeoutError():
            return Problem(f"{server} does not answer", True)
        case boto.ConnectionError():
            return Problem(f"no answer from {server}", True)
        case boto.HTTPClientError() | boto.IncompleteReadError():
            return Problem(f"{server} closed the connection ({type(error).__name__})", True)
        case boto.BotoCoreError():
            return Problem(_line(error), False)
    return Problem(f"{server} did not keep what was written", True)


def _refusal(error: Exception, address: S3Address, server: str) -> Problem:
    answer = error.response  # type: ignore[attr-defined]
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(answer.get("Error", {}).get("Code") or status)  # Ceph's STS names no code
    match code:
        case "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken":
            what = "access key" if code == "InvalidAccessKeyId" else "secret key"
            what = "session token" if "Token" in code else what
            return Problem(f"{server} does not accept the {what} ({code})", False)
        case "NoSuchBucket":
            return Problem(f"there is no bucket {address.bucket} at {server}", False)
        case "RequestTimeTooSkewed":
            return _skewed(server)
        case "403" if _clocks_differ(answer):  # The answer to HEAD has no content and names no error.
            return _skewed(server)
        case "AccessDenied" | "AllAccessDisabled" | "403":
            return Problem(f"{server} does not allow this with these keys ({code})", False)
        case "PermanentRedirect" | "AuthorizationHeaderMalformed" | "301":
            return Problem(f"bucket {address.bucket} is in another region; set AWS_REGION", False)
    if code in FULL or status == 507:
        return Problem(f"{server} has no space left ({code})", False)
    message = answer.get("Error", {}).get("Message")
    return Problem(f"{server} answered {code}{f': {message}' if message else ''}", status >= 500 or code in TEMPORARY)


def _skewed(server: str) -> Problem:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    return Problem(f"this machine's clock ({now} UTC) and that of {server} differ too much", True)


def _clocks_differ(answer: Mapping[str, Any]) -> bool:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return date is not None and abs(datetime.now(UTC) - parsedate_to_datetime(date)) > SKEW


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
