"""What is wrong with a stored value, in a few words."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """``where: what is wrong`` with the first of an error's values; of the whole, only what is wrong."""
    problem = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, problem["loc"])), problem["msg"])))
