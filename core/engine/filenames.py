"""Names of the files in a trial's store."""

RESUME = "resume.ckpt"
"""Checkpoint of an unfinished trial, stored with a checksum. It is deleted after the record is written."""

ARTIFACT = "artifact-"
"""Beginning of the name of a file with large state of the method, which the checkpoint names."""

RECORD = "record.json"
"""Record of a finished trial. A trial is finished if and only if this file exists."""

ATTEMPTS = "attempts.json"
"""Number and device time of a trial's attempts. It is deleted after the record is written."""
