"""What every option model shares: frozen, no unknown names, numbers that may be written as fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Options(BaseModel):
    """A frozen group of options; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _parse_fraction(value: Any) -> Any:
    if isinstance(value, str) and "/" in value:
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{value!r} is not a number or a fraction such as 8/255") from error
    return value


Number = Annotated[float, BeforeValidator(_parse_fraction)]
"""A float that may be written as a fraction: ``8/255``, as papers do."""
