"""The parser of a command line: from its words to values of flags.

Python's argparse is not used, because it reads -1e-9 and -8/255 as options, and takes the last one of two equal options
without a word.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from core.config.flags import Flag, FlagGroup

HELP = Flag("help", "", "at most one")
NEGATIVE = re.compile(r"-\.?\d", re.ASCII)
"""Beginning of a negative number."""
SIMILARITY = 0.75
"""Similarity from which a known option is suggested for an unknown one; --version and --epsilon have 0.71."""


GivenOption = tuple[str, list[str]]
"""An option as it is written, such as ``--no-stop``, and the words that follow it."""


def parse(groups: Iterable[FlagGroup], args: Sequence[str]) -> dict[str, Any]:
    """Values of the flags in ``args``: True or False of a switch, a text of one value, a tuple of texts of many values.

    A flag that takes at most one value has the value ``""`` if it is given without one. The entry ``help`` is the name
    of a page, or ``""`` for the first page.

    Raises:
        ValueError: an option is unknown, missing or given twice, or has too many values, none, or an empty one.
    """
    groups = tuple(groups)
    values, unknown = parse_known(groups, split_options(args))
    refuse_unknown(unknown, groups)
    for flag in _flags(groups):
        if flag.required and flag.name not in values and "help" not in values:
            raise ValueError(f"{flag.spelling} is missing: {flag.text}")
    return values


def parse_known(
    groups: Iterable[FlagGroup], options: Iterable[GivenOption]
) -> tuple[dict[str, Any], list[GivenOption]]:
    """Values of the known flags as in `parse`, and the options that are not among ``groups``.

    Raises:
        ValueError: a known option is given twice, or has too many values, none, or an empty one.
    """
    flags = _flags(groups)
    known = {"-h": HELP} | {flag.spelling: flag for flag in flags}
    known |= {f"--no-{flag.spelling[2:]}": flag for flag in flags if flag.takes == "switch"}
    values: dict[str, Any] = {}
    unknown: list[GivenOption] = []
    for option, words in options:
        flag = known.get(option)
        if flag is None:
            unknown.append((option, words))
            continue
        value = _value(flag, option, words)
        if flag.name in values:
            how = f"; write all its values after one {option}, as in {option} 1 3" if flag.takes == "many" else ""
            raise ValueError(f"{option} is given twice{how}")
        values[flag.name] = value
    return values, unknown


def refuse_unknown(unknown: Iterable[GivenOption], groups: Iterable[FlagGroup]) -> None:
    """Raise ValueError for the first unknown option, with the known option that looks most like it."""
    for option, _ in unknown:
        word, known = option.lstrip("-"), [flag.spelling[2:] for flag in _flags(groups) if flag is not HELP]
        close = difflib.get_close_matches(word, known, n=1, cutoff=SIMILARITY)
        close += [name for name in known if word and name.startswith(word)]
        hint = f"did you mean --{close[0]}?" if close else "--help all lists them"
        raise ValueError(f"{option}: there is no such option; {hint}")


def split_options(args: Iterable[str]) -> Iterator[GivenOption]:
    """The options of a command line, each with the words that follow it. ``--a=1`` and ``--a 1`` mean the same.

    A word that begins with a dash is an option unless a digit follows, as in ``-1e-9`` and ``-.5``.

    Raises:
        ValueError: the first word is not an option.
    """
    option = ""
    words: list[str] = []
    for arg in args:
        if arg.startswith("-") and not NEGATIVE.match(arg):
            if option:
                yield option, words
            name, sign, value = arg.partition("=")
            # underscores are dashes in the name of an option; --batch_size=3 is --batch-size=3
            option, words = name.replace("_", "-"), [value] if sign else []
        elif option:
            words.append(arg)
        else:
            raise ValueError(f"{arg}: follows no option; options begin with --, and --help lists them")
    if option:
        yield option, words


def _flags(groups: Iterable[FlagGroup]) -> list[Flag]:
    return [HELP, *(flag for group in groups for flag in group.flags)]


def _value(flag: Flag, option: str, words: list[str]) -> Any:
    """The value of a flag that is written as ``option`` and followed by ``words``."""
    for word in words:
        if word == "":
            raise ValueError(f"{option} '': is empty; give a value or leave the option out")
        if word == "None":  # what a script passes for an unset variable
            raise ValueError(f"{option} None: is no value; leave the option out")
    match flag.takes:
        case "switch":
            if words:
                raise ValueError(f"{option} {words[0]}: takes no value")
            return option == flag.spelling
        case "many":
            if not words:
                raise ValueError(f"{option}: needs at least one value")
            return tuple(words)
    if flag.takes == "one" and not words:
        raise ValueError(f"{option}: needs a value")
    if len(words) > 1:
        raise ValueError(f"{option} {' '.join(words)}: takes one value")
    return words[0] if words else ""
