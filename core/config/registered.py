"""Options whose values are the names in a table that may grow at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Registered:
    """Annotates a text option, like a ``Literal`` whose values are read from a table at every check.

    Attributes:
        find: finds the row of a name; raises ValueError with the allowed names for an unknown one.
        names: the allowed names, as ``--help`` shows them.
    """

    find: Callable[[str], object]
    names: Callable[[], Iterable[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, name: str) -> str:
        self.find(name)
        return name
