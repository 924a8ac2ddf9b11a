"""Command-line flags in groups, derived from the option models: a new option needs no further code to be a flag."""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from core.config.base import Unset
from core.config.over_epochs import MayChange
from core.config.registered import Registered

Takes = Literal["switch", "one", "at most one", "many"]


@dataclass(frozen=True)
class Flag:
    """One option of a command line.

    Attributes:
        name: the option's name in Python, such as ``batch_size``.
        text: description of the option.
        takes: number of values; a switch is ``--name`` or ``--no-name``.
        allowed: the values that are accepted, in words.
        value: the value used without the flag, such as ``default: 3``; empty if there is none.
        required: True if the command can't run without the flag.
    """

    name: str
    text: str
    takes: Takes = "one"
    allowed: str = ""
    value: str = ""
    required: bool = False

    @property
    def spelling(self) -> str:
        """The flag as it is written on the command line: ``--batch-size``."""
        return f"--{self.name.replace('_', '-')}"


class FlagGroup(NamedTuple):
    """Flags about one subject; ``--help NAME`` shows the group ``name``."""

    name: str
    about: str
    flags: tuple[Flag, ...]


def cell_flag(name: str, info: FieldInfo) -> Flag:
    """The flag of an option of a cell. It takes one or more values, each a value of one axis of the grid."""
    return Flag(name, info.description or "", "many", allowed_values(info), _default(_unset_meaning(info)))


def model_flags(model: type[BaseModel], names: Collection[str] | None = None) -> tuple[Flag, ...]:
    """A flag per option of ``model``, or of those in ``names``, with the model's own default."""
    return tuple(_model_flag(name, info) for name, info in model.model_fields.items() if names is None or name in names)


def _model_flag(name: str, info: FieldInfo) -> Flag:
    takes: Takes = "switch" if info.annotation is bool else "many" if get_origin(info.annotation) is tuple else "one"
    shown = _unset_meaning(info) or ("" if info.is_required() else shown_value(name, info.default))
    allowed = "" if takes == "switch" else allowed_values(info)
    return Flag(name, info.description or "", takes, allowed, _default(shown))


def _unset_meaning(info: FieldInfo) -> str:
    return next((extra.meaning for extra in info.metadata if isinstance(extra, Unset)), "")


def _default(shown: str) -> str:
    return f"default: {shown}" if shown else ""


def shown_value(name: str, value: Any) -> str:
    """A value as it is written on the command line: ``8/255``, ``100 150``, ``--no-stop``; empty for None."""
    match value:
        case bool():
            return f"--{'' if value else 'no-'}{name.replace('_', '-')}"
        case float():
            short, fraction = f"{value:g}", Fraction(value).limit_denominator(1000)
            return str(fraction) if float(short) != value == float(fraction) else short
        case list() | tuple():
            return " ".join(shown_value(name, part) for part in value)
        case None:
            return ""
        case _:
            return str(value)


def allowed_values(info: FieldInfo) -> str:
    """What an option accepts, in words: ``0 < x <= 1``, ``kl | ce``, ``true | false``; empty if all texts are."""
    registered = next((extra for extra in info.metadata if isinstance(extra, Registered)), None)
    if registered:
        return " | ".join(registered.names())
    kind, bounds = _kind_and_bounds(info)
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    signs: tuple[Mapping[type, str], ...] = {Ge: "<=", Gt: "<"}, {Le: "<=", Lt: "<"}
    lower = [f"{_bound(m)} {signs[0][type(m)]} " for m in bounds if type(m) in signs[0]]
    upper = [f" {signs[1][type(m)]} {_bound(m)}" for m in bounds if type(m) in signs[1]]
    changes = " | over epochs" if any(isinstance(m, MayChange) for m in bounds) else ""
    if lower or upper:
        return f"{''.join(lower)}x{''.join(upper)}{changes}"
    return "true | false" if kind is bool else "a number" if kind in (int, float) else ""


def _bound(limit: Any) -> str:
    return f"{getattr(limit, type(limit).__name__.lower()):.10g}"


def _kind_and_bounds(info: FieldInfo) -> tuple[Any, list[Any]]:
    """The type of one value, without ``None``, ``tuple`` and ``Annotated`` around it, and the bounds on it."""
    kind: Any = info.annotation
    bounds = list(info.metadata)
    while True:
        if isinstance(kind, TypeAliasType):
            kind = kind.__value__
        elif get_origin(kind) in (Union, types.UnionType):
            kind = next(part for part in get_args(kind) if part is not type(None))
        elif get_origin(kind) is tuple:
            kind, bounds = get_args(kind)[0], []
        elif get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            bounds += [
                limit for extra in more for limit in (extra.metadata if isinstance(extra, FieldInfo) else [extra])
            ]
        else:
            return kind, bounds
