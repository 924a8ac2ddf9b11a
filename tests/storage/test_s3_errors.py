"""A request that S3 refuses because of a wrong clock is repeated, also where its answer names no error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore.exceptions import ClientError

from core.storage.address import parse_s3
from core.storage.s3_errors import explain


@pytest.mark.parametrize(
    ("hours", "temporary", "reason"),
    [(3, True, "differ too much"), (-3, True, "differ too much"), (0, False, "does not allow this with these keys")],
)
def test_the_refusal_of_a_head_request_tells_a_wrong_clock_from_missing_rights(
    hours: int, temporary: bool, reason: str
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    answer = {
        "Error": {"Code": "403", "Message": "Forbidden"},
        "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {"date": date}},
    }
    problem = explain(ClientError(answer, "HeadObject"), parse_s3("s3://bucket/results"))
    assert (problem.temporary, reason in problem.reason) == (temporary, True)
