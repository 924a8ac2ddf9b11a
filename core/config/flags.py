"""Command-line flags made from the option models, so that a new option is a flag without further ado."""

from __future__ import annotations

import dataclasses
import itertools
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tyro
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.config.registered import Registered

FlagField = tuple[str, Any, Any]


def grid_flags(fields: Mapping[str, FieldInfo]) -> list[FlagField]:
    """A flag per option that takes one or more values, each an axis of the grid; absent means: leave to the preset."""
    hint = "(default: the preset's)"
    return [(name, _described(tuple[str, ...] | None, info, hint), None) for name, info in fields.items()]


def single_flags(model: type[BaseModel], defaults: Mapping[str, Any]) -> list[FlagField]:
    """A flag per option of ``model``, with ``defaults`` before the model's own. The model is to check the values."""
    flags: list[FlagField] = []
    for name, info in model.model_fields.items():
        default = defaults.get(name, info.get_default())
        if info.annotation is bool:
            flags.append((name, Annotated[bool, tyro.conf.arg(help=info.description)], bool(default)))
        elif get_origin(info.annotation) is tuple:
            flags.append((name, _described(tuple[str, ...], info), tuple(map(str, default))))
        else:
            shown = None if default is None else str(default)
            flags.append((name, _described(str | None, info), shown))
    return flags


def flag(kind: Any, text: str) -> Any:
    """The type of a flag that belongs to no option model: takes ``kind``, and says ``text`` in the help."""
    return Annotated[kind, tyro.conf.arg(help=text)]


def parse(title: str, fields: Sequence[FlagField], description: str, args: Sequence[str]) -> dict[str, Any]:
    """Parse ``args``; a typo, a missing value or ``--help`` ends the program as tyro does (exit code 2 or 0).

    Raises:
        ValueError: a value is empty or None, as that of an unset variable in a shell or a script is.
    """
    for before, arg in itertools.pairwise(["", *args]):
        if arg == "None" or arg.endswith("=None"):
            option = before if arg == "None" else arg.removesuffix("=None")
            raise ValueError(f"{option} None: is no value; leave the option out")
    flags = dataclasses.make_dataclass(title, [(n, t, dataclasses.field(default=d)) for n, t, d in fields])
    parsed: Any = tyro.cli(flags, args=list(args), description=description, config=(tyro.conf.AvoidSubcommands,))
    values = {name: getattr(parsed, name) for name, _, _ in fields}
    for name, value in values.items():
        if value == "" or (isinstance(value, tuple) and "" in value):
            raise ValueError(f"--{name.replace('_', '-')} '': is empty; give a value or leave the option out")
    return values


def _described(flag_type: Any, info: FieldInfo, hint: str | None = None) -> Any:
    description = f"{info.description} [{allowed_values(info)}]"
    return Annotated[flag_type, tyro.conf.arg(help=description, metavar=_metavar(info), help_behavior_hint=hint)]


def allowed_values(info: FieldInfo) -> str:
    """What an option accepts, in words: ``0 < x <= 1``, ``kl | ce``, ``true | false``."""
    registered = next((m for m in info.metadata if isinstance(m, Registered)), None)
    literal = tuple(registered.names()) if registered else _literal(info.annotation)
    if literal:
        return " | ".join(str(value) for value in literal)
    signs = {Ge: "<=", Gt: "<"}, {Le: "<=", Lt: "<"}
    lower = [f"{_bound(m)} {signs[0][type(m)]} " for m in info.metadata if type(m) in signs[0]]
    upper = [f" {signs[1][type(m)]} {_bound(m)}" for m in info.metadata if type(m) in signs[1]]
    if lower or upper:
        return f"{''.join(lower)}x{''.join(upper)}"
    return "true | false" if info.annotation is bool else _metavar(info).lower()


def _bound(limit: Any) -> str:
    return f"{getattr(limit, type(limit).__name__.lower()):g}"


def _literal(annotation: Any) -> tuple[Any, ...]:
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return tuple(value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind))


def _metavar(info: FieldInfo) -> str:
    kinds = [info.annotation]
    if get_origin(info.annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(info.annotation) if kind is not type(None)]
    kind = kinds[0]
    while get_origin(kind) in (tuple, Annotated):
        kind = get_args(kind)[0]
    return "NUMBER" if kind in (int, float) else "VALUE"
