"""Numbers that change from epoch to epoch, in one notation: ``0..8/255@10``, ``10then40@86%``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

from core.config.base import parse_fraction

FORM = "write a number, or numbers over the epochs such as 0..6@10 (linear) or 1then6@50% (a step)"
_NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?(?:/\d+)?"
_PART = re.compile(rf"(?P<how>\.\.|then)?(?P<value>{_NUMBER})(?:@(?P<when>\d+(?:\.\d+)?)(?P<percent>%?))?", re.ASCII)


@dataclass(frozen=True)
class Knot:
    """One written value of an `OverEpochs`.

    Attributes:
        value: the value.
        when: the moment at which the value is reached: epochs that have passed by then, or the percentage of them.
        linear: True if the value is reached linearly from the knot before, False if it is reached by a step.
    """

    value: float
    when: Fraction
    linear: bool


@dataclass(frozen=True)
class OverEpochs:
    """A piecewise linear function of the epoch, with steps. The value of an epoch is the value at its beginning.

    ``VALUE@N`` is reached at the beginning of the 1-based epoch N, and ``VALUE@P%`` after P percent of all epochs. The
    first value needs no moment and then holds from the beginning. ``..`` before a value makes the way to it linear,
    ``then`` makes it a step. After the last moment the last value stays, and before the first one the first value.

    An ordering comparison with a number is about all values: ``schedule >= 0`` is true if no value is below 0, and
    ``schedule > 0`` if, moreover, some value is above 0. A warm-up from 0 of a positive number therefore is positive.
    """

    knots: tuple[Knot, ...]
    relative: bool
    """True if moments are percentages of the epochs."""

    @classmethod
    def parse(cls, text: str) -> OverEpochs:
        """The schedule that ``text`` describes. Spaces in it have no meaning.

        Raises:
            ValueError: the text is not in this notation, or its moments do not increase.
        """
        found = list(_parts(text.replace(" ", "")))
        if len(found) < 2:
            raise ValueError(f"one value alone has no epochs; {FORM}")
        if not all(part["when"] for part in found[1:]):
            raise ValueError(f"every value after the first needs @ and its epoch; {FORM}")
        percents = {bool(part["percent"]) for part in found if part["when"]}
        if len(percents) > 1:
            raise ValueError("epochs and percentages of the epochs are mixed; write one of them")
        (relative,) = percents
        knots = [
            Knot(float(parse_fraction(part["value"])), _moment(part["when"], relative), part["how"] == "..")
            for part in found
        ]
        moments = [knot.when for knot in knots[0 if found[0]["when"] else 1 :]]
        if any(late <= early for early, late in pairwise(moments)):
            raise ValueError("the epochs must increase from value to value")
        if not found[0]["when"] and moments[0] == 0:
            raise ValueError("the second value must come after the beginning of the first epoch")
        if not knots[1].linear:  # the moment of a value that the next one replaces by a step has no meaning
            knots[0] = Knot(knots[0].value, Fraction(0), linear=False)
        return cls(tuple(knots), relative)

    def at(self, epoch: int, epochs: int) -> float:
        """The value in a 1-based epoch of a training of ``epochs`` epochs."""
        passed = Fraction(100 * (epoch - 1), epochs) if self.relative else Fraction(epoch - 1)
        reached = max((i for i, knot in enumerate(self.knots) if knot.when <= passed), default=0)
        here = self.knots[reached]
        if reached + 1 == len(self.knots) or passed < here.when:
            return here.value
        after = self.knots[reached + 1]
        if not after.linear:
            return here.value
        return here.value + (after.value - here.value) * float((passed - here.when) / (after.when - here.when))

    def is_constant(self, epochs: int) -> bool:
        """True if a training of ``epochs`` epochs has the same value in all of them."""
        firsts = [math.ceil(k.when * epochs / 100 if self.relative else k.when) + 1 for k in self.knots]
        # Between these epochs the function is linear.
        corners = {min(max(epoch, 1), epochs) for first in firsts for epoch in (first - 1, first)} | {epochs}
        return len({self.at(epoch, epochs) for epoch in corners}) == 1

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The written values."""
        return tuple(knot.value for knot in self.knots)

    def __str__(self) -> str:
        """The schedule in its notation. `parse` gives the same schedule back."""
        first, *others = self.knots
        return (
            spelled(first.value)
            + (self._written(first) if first.when else "")
            + "".join((".." if knot.linear else "then") + spelled(knot.value) + self._written(knot) for knot in others)
        )

    def __ge__(self, limit: float) -> bool:
        return min(self.values) >= limit

    def __gt__(self, limit: float) -> bool:
        return self >= limit and max(self.values) > limit

    def __le__(self, limit: float) -> bool:
        return max(self.values) <= limit

    def __lt__(self, limit: float) -> bool:
        return self <= limit and min(self.values) < limit

    def _written(self, knot: Knot) -> str:
        return f"@{spelled(float(knot.when))}%" if self.relative else f"@{knot.when + 1}"


def _parts(text: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    end = 0
    while end < len(text):
        part = _PART.match(text, end)
        if part is None or bool(part["how"]) != bool(found):
            raise ValueError(f"the notation ends at {text[end : end + 20]!r}; {FORM}")
        found.append(part)
        end = part.end()
    return found


def _moment(text: str | None, relative: bool) -> Fraction:
    """A written moment, in the unit of `Knot.when`; 0 if it is not written."""
    if text is None:
        return Fraction(0)
    when = Fraction(text)
    if relative:
        if when > 100:
            raise ValueError(f"{text}% of the epochs is impossible; allowed: 0% to 100%")
        return when
    if when < 1 or when.denominator > 1:
        raise ValueError(f"epoch {text} is impossible; epochs are whole numbers from 1")
    return when - 1


def spelled(value: float) -> str:
    """The first of ``6``, ``8/255``, ``1/3`` and ``0.123456789`` that is exactly the number."""
    short, fraction = f"{value:g}", Fraction(value).limit_denominator(1000)
    if float(short) == value:
        return short
    if round(255 * value) / 255 == value:
        return f"{round(255 * value)}/255"
    return str(fraction) if float(fraction) == value else repr(value)


def is_over_epochs(value: Any) -> bool:
    """True if ``value`` is written as numbers over the epochs, rightly or not."""
    return isinstance(value, str) and any(mark in value for mark in ("@", "..", "then"))


@dataclass(frozen=True)
class MayChange:
    """Annotates a number that may be an `OverEpochs`.

    Attributes:
        whole: True if the values are whole numbers, which only steps can join.
    """

    whole: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(
            lambda value: str(value) if isinstance(value, OverEpochs) else value
        )
        number = handler.generate_schema(int if self.whole else float)
        return core_schema.no_info_wrap_validator_function(self._validated, number, serialization=written)

    def _validated(self, value: Any, number: Callable[[Any], Any]) -> Any:
        if isinstance(value, OverEpochs):
            return value
        if not is_over_epochs(value):
            return number(value if self.whole else parse_fraction(value))
        schedule = OverEpochs.parse(value)
        if not all(map(math.isfinite, schedule.values)):
            raise ValueError("the values must be finite numbers")
        if self.whole and not all(value.is_integer() for value in schedule.values):
            raise ValueError("the values must be whole numbers")
        if self.whole and any(knot.linear for knot in schedule.knots):
            raise ValueError("whole numbers can't change linearly; write then instead of ..")
        return schedule


NumberOverEpochs = TypeAliasType("NumberOverEpochs", Annotated[float | OverEpochs, MayChange()])
"""A `core.config.base.Number`, or an `OverEpochs`. As a named type it is checked before the bounds of a field."""
WholeOverEpochs = TypeAliasType("WholeOverEpochs", Annotated[int | OverEpochs, MayChange(whole=True)])
"""An integer, or an `OverEpochs` of whole numbers."""


def mapped(value: float | OverEpochs, function: Callable[[float], Any]) -> Any:
    """The function of a number; of an `OverEpochs` the one with the functions of its values, if they differ."""
    if not isinstance(value, OverEpochs):
        return function(value)
    results = [function(number) for number in value.values]
    if all(result == results[0] for result in results):
        return results[0]
    knots = (replace(knot, value=result) for knot, result in zip(value.knots, results, strict=True))
    return replace(value, knots=tuple(knots))


def plain(value: float | OverEpochs) -> float:
    """The number that an option has in a cell of one epoch, see `core.config.Cell.in_epoch`."""
    assert not isinstance(value, OverEpochs)
    return value
