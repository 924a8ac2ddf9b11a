"""Names that become folders, files and parts of queries."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _safe(name: str) -> str:
    if not SAFE_NAME.fullmatch(name):
        raise ValueError("must be 1 to 100 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return name


SweepName = Annotated[str, AfterValidator(_safe)]
"""A sweep's name: nothing in it can lead out of the folder that it names."""


def checked_name(option: str, name: str) -> str:
    """``name`` as given for ``option`` (``--sweep``).

    Raises:
        ValueError: it can't be the name of a sweep.
    """
    try:
        return _safe(name)
    except ValueError as error:
        raise ValueError(f"{option} {name}: {error}") from error
