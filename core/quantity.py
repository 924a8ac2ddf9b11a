"""A number of things in words."""

from __future__ import annotations


def quantity(number: int, noun: str) -> str:
    """The number and its noun, in the plural unless the number is 1: ``1 trial``, ``1,200 trials``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
