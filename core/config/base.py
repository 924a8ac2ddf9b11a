"""The base of all option models: frozen, without unknown names, with numbers that may be written as fractions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator


class Options(BaseModel):
    """A frozen group of options; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _reject_yaml_booleans(cls, given: Any) -> Any:
        """YAML parses ``yes`` and ``off`` as booleans, which pydantic would convert to 1 and 0 in numeric fields."""
        if not isinstance(given, dict):
            return given
        booleans = {name for name, info in cls.model_fields.items() if info.annotation is bool}
        return {name: value if name in booleans else _spelled_out(value) for name, value in given.items()}


def _spelled_out(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return [_spelled_out(part) for part in value] if isinstance(value, list) else value


def parse_fraction(value: Any) -> Any:
    """The float that a text such as ``8/255`` stands for; any other value is returned as it is.

    Raises:
        ValueError: the text has a slash but is no fraction.
    """
    if isinstance(value, str) and "/" in value:
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ArithmeticError) as error:
            raise ValueError(f"{value!r} is not a number or a fraction such as 8/255") from error
    return value


Number = Annotated[float, BeforeValidator(parse_fraction)]
"""A float that may be written as a fraction: ``8/255``, as in papers."""


@dataclass(frozen=True)
class Unset:
    """Meaning of an absent value, shown by ``--help``: ``Annotated[int | None, Unset("as many as fit")]``."""

    meaning: str


def as_number(value: Any) -> float | None:
    """The number that an option's value stands for, or None if it is not a number."""
    try:
        return float(parse_fraction(value))
    except (ValueError, TypeError):
        return None


def check_unused(options: Options, names: Iterable[str], need: str, *, needed: bool) -> None:
    """Refuse a value other than the default of an option that has no effect without another option.

    Args:
        options: the options after validation.
        names: options that have an effect only with the other one.
        need: the other option and its values, in words.
        needed: True if the other option has such a value.

    Raises:
        ValueError: one of ``names`` has another value than its default, and no effect.
    """
    for name in () if needed else names:
        value = getattr(options, name)
        if value != type(options).model_fields[name].default:
            raise ValueError(f"{name} {value} has no effect without {need}")
