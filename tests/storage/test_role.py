"""Inputs that do not fit to a role of workers. No server is asked."""

from __future__ import annotations

import pytest

from core.storage.role import Role

ARN = "arn:aws:iam::123456789012:role/unmask-trial"


@pytest.mark.parametrize(
    ("data", "contains"),
    [
        ("s3://bucket", True),
        ("s3://bucket/lab", True),
        ("s3://bucket/lab/results", True),
        ("s3://bucket/lab/results/data", False),
        ("s3://bucket/lab/res", False),
        ("s3://bucket/data", False),
        ("s3://other", False),
    ],
)
def test_data_that_contain_the_storage_are_refused(data: str, contains: bool) -> None:
    """Each trial may read all data, and would read the results of all others."""
    role = Role(ARN, "s3://bucket/lab/results?region=us-east-1")
    if not contains:
        role.check_outside("--data-dir", data)
        return
    with pytest.raises(ValueError, match=f"--data-dir {data}: must not contain --storage, because each task"):
        role.check_outside("--data-dir", data)
