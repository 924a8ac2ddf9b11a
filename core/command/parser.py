"""Parse the words of a command line into values of flags."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from core.config.flags import Flag, FlagGroup


def parse(groups: Iterable[FlagGroup], args: Sequence[str], *, others: bool = False) -> dict[str, Any]:
    """Values of the flags in ``args``: True or False of a switch, a text of one value, a tuple of texts of many values.

    A flag that takes at most one value has the value ``""`` if it is given without one. The entry ``help`` is the name
    of a page, or ``""`` for the first page.

    Args:
        groups: the known flags.
        args: the words.
        others: pass over unknown options. Plug-ins add flags, and must be read before all flags are known.

    Raises:
        ValueError: an option is unknown, missing or given twice, or has too many values, none, or an empty one.
    """
    flags = [flag for group in groups for flag in group.flags]
    parser = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("--help", "-h", action=_StoreOnce, nargs="*", flag=Flag("help", "", "at most one"))
    for flag in flags:
        parser.add_argument(flag.spelling, dest=flag.name, action=_StoreOnce, nargs="*", flag=flag)
        if flag.takes == "switch":
            parser.add_argument(f"--no-{flag.spelling[2:]}", dest=flag.name, action=_StoreOnce, nargs="*", flag=flag)
    given, rest = parser.parse_known_args([_dashed(arg) for arg in args])
    if rest and not others:
        raise ValueError(_unknown(rest[0], [flag.spelling for flag in flags]))
    values = vars(given)
    for flag in flags:
        if flag.required and flag.name not in values and "help" not in values:
            raise ValueError(f"{flag.spelling} is missing: {flag.text}")
    return values


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


class _StoreOnce(argparse.Action):
    """Stores a flag's values after checking their number, and that the flag is given once."""

    def __init__(self, *args: Any, flag: Flag, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.flag = flag

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        takes = self.flag.takes
        for value in values:
            if value == "":
                raise ValueError(f"{option} '': is empty; give a value or leave the option out")
            if value == "None":  # what a script passes for an unset variable
                raise ValueError(f"{option} None: is no value; leave the option out")
        if takes == "switch" and values:
            raise ValueError(f"{option} {values[0]}: takes no value")
        if takes in ("one", "many") and not values:
            raise ValueError(f"{option}: needs {'a' if takes == 'one' else 'at least one'} value")
        if takes in ("one", "at most one") and len(values) > 1:
            raise ValueError(f"{option} {' '.join(values)}: takes one value")
        if hasattr(namespace, self.dest):
            how = f"; write all its values after one {option}, as in {option} 1 3" if takes == "many" else ""
            raise ValueError(f"{option} is given twice{how}")
        match takes:
            case "switch":
                chosen: Any = option == self.flag.spelling
            case "many":
                chosen = tuple(values)
            case _:
                chosen = values[0] if values else ""
        setattr(namespace, self.dest, chosen)


def _dashed(arg: str) -> str:
    """Turn ``--batch_size=3`` into ``--batch-size=3``; underscores in the value stay."""
    name, sign, value = arg.partition("=")
    return name.replace("_", "-") + sign + value if arg.startswith("--") else arg


def _unknown(word: str, known: Iterable[str]) -> str:
    if not word.startswith("-"):
        return f"{word}: follows no option; options begin with --, and --help lists them"
    close = difflib.get_close_matches(word.partition("=")[0], known, n=1)
    return f"{word}: there is no such option{f'; did you mean {close[0]}?' if close else '; --help all lists them'}"
