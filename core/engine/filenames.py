"""Names of the files in a trial's store."""

RESUME = "resume.ckpt"
"""Checkpoint of an unfinished trial, stored with a checksum. It is deleted after the record is written."""

ARTIFACT = "artifact-"
"""Beginning of the name of a file with large state of the method, which the checkpoint names."""

RECORD = "record.json"
"""Record of a finished trial, which is created once. Earlier versions stored crashes under this name, too."""

CRASH = "crash.json"
"""Record of a trial that crashed. It is replaced by the next crash, and deleted before the trial starts again."""

ATTEMPTS = "attempts.json"
"""Number and device time of a trial's attempts. It is deleted after the record is written."""
