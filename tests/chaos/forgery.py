"""A stored file that a fault has replaced."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Forgery:
    """A stored file that was replaced.

    Attributes:
        key: name of the object.
        how: what it was replaced by.
        said: True once a program has named the file and the reason.
    """

    key: str
    how: str
    said: bool = False
