"""Names of the files in a trial's store."""

RESUME = "resume.ckpt"
"""Sealed checkpoint of an unfinished trial; deleted once the record is written."""

RECORD = "record.json"
"""The finished trial's record; once it is there, the trial is done."""
