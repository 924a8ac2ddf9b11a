"""Sentences about wrong values: which option has the wrong value, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)
MAX_SHOWN_CHARACTERS = 100
"""Characters of a wrong value that a message shows."""
BOUNDS = {
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
}
KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping of names to values",
    "model": "a mapping of names to values",
    "json": "JSON",
}
"""What a value must be, by the first word of pydantic's type of a problem, such as ``int_parsing``."""


def validated(model: type[Model], values: Mapping[str, Any]) -> Model:
    """The options of ``model`` with these values.

    Raises:
        ValueError: values are wrong; the message has one line for each.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError("\n".join(explain(error))) from error


def explain(error: ValidationError) -> list[str]:
    """One line per problem: the option as a flag, its value, and what is allowed."""
    problems = error.errors(include_url=False)
    return [_line(problem) for problem in problems if not _follows(problem, problems)]


def first_problem(error: ValidationError) -> str:
    """A stored file's first problem as ``place: sentence``, or as the sentence alone if it concerns the whole file."""
    problem = error.errors(include_url=False)[0]
    return ": ".join(filter(None, (".".join(map(str, problem["loc"])), sentence(problem))))


def sentence(problem: ErrorDetails) -> str:
    """What is wrong with a value, without the value."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in BOUNDS:
        return f"must be {BOUNDS[kind].format_map(context)}"
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is unknown"
        case "finite_number":
            return "must be a finite number"
        case "literal_error":
            return f"must be {context['expected'].replace(chr(39), '')}"
    allowed = KINDS.get(kind.partition("_")[0])
    return f"must be {allowed}" if allowed else "is not allowed"


def _follows(problem: ErrorDetails, problems: Sequence[ErrorDetails]) -> bool:
    """Whether a list is too short only because pydantic left out its wrong entries, which have their own problems."""
    place = problem["loc"]
    return problem["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in problems
    )


def _line(problem: ErrorDetails) -> str:
    names = [part for part in problem["loc"] if isinstance(part, str)]
    # A model's own check sees all values of the model, and its message names the options that it is about.
    if not names or (problem["type"] == "value_error" and isinstance(problem["input"], dict)):
        return sentence(problem)
    if problem["type"] == "missing":  # the input is what surrounds the missing value
        return f"{names[-1]} {sentence(problem)}"
    return f"--{names[-1].replace('_', '-')} {_shown(problem['input'])}: {sentence(problem)}"


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]} ... ({len(text)} characters)"
