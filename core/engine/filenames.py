"""Names of the files in a trial's store."""

RESUME = "resume.ckpt"
"""Checkpoint of an unfinished trial, stored with a checksum. It is deleted after the record is written."""

RECORD = "record.json"
"""Record of a finished trial. A trial is finished if and only if this file exists."""
