"""Pages of ``--help``: the first page (most used options, names of the groups), one group, or all options."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from core.command.parser import parse
from core.config.flags import Flag, FlagGroup

MAX_WIDTH = 120
FALLBACK_WIDTH = 100
"""Width in columns if the output is not a terminal."""


@dataclass(frozen=True)
class HelpPage:
    """Content of one job's ``--help``.

    Attributes:
        about: what the job does, with examples; it is printed unchanged.
        groups: all flags.
        first: names of the most used flags, which the first page shows; if empty, the first page shows all flags.
        lists: further pages by name; each has a heading, and a function that returns texts by name.
    """

    about: str
    groups: Sequence[FlagGroup]
    first: Sequence[str] = ()
    lists: Mapping[str, tuple[str, Callable[[], Mapping[str, str]]]] = field(default_factory=dict)

    def show(self, topic: str) -> NoReturn:
        """Print the page ``topic``, the first page if it is empty, and end the program with exit code 0.

        Raises:
            ValueError: there is no such page.
        """
        print("\n\n".join(self._parts(topic)))
        sys.exit(0)

    def _parts(self, topic: str) -> Iterator[str]:
        groups = {group.name: group for group in self.groups}
        if topic == "all" or (topic == "" and not self.first):
            yield from [self.about.strip()] if topic == "" else []
            yield from map(_group, self.groups)
        elif topic == "":
            flags = {flag.name: flag for group in self.groups for flag in group.flags}
            pages = {group.name: group.about for group in self.groups}
            pages |= {name: heading for name, (heading, _) in self.lists.items()}
            yield self.about.strip()
            yield _section("Most used options:", [_row(flags[name]) for name in self.first])
            yield _section("Groups of options, shown by --help NAME:", [*pages.items(), ("all", "every option")])
        elif topic in groups:
            yield _group(groups[topic])
        elif topic in self.lists:
            heading, texts = self.lists[topic]
            yield _section(f"{heading}:", texts().items())
        else:
            raise ValueError(
                f"--help {topic}: there is no such page; allowed are {', '.join([*groups, *self.lists])}, all"
            )


def read_flags(
    groups: Sequence[FlagGroup], args: Sequence[str], about: str, first: Sequence[str] = ()
) -> dict[str, Any]:
    """Parse ``args`` as `parse` does; ``--help`` prints a `HelpPage` and ends the program.

    Raises:
        ValueError: as in `parse`.
    """
    given = parse(groups, args)
    if "help" in given:
        HelpPage(about, groups, first).show(given["help"])
    return given


def _group(group: FlagGroup) -> str:
    return _section(f"{group.name}: {group.about}", map(_row, group.flags))


def _section(heading: str, rows: Iterable[tuple[str, str]]) -> str:
    """Format a heading and rows, each a name with a text beside it, in the width of the terminal."""
    named = list(rows)
    indent = max(len(name) for name, _ in named) + 4
    width = min(MAX_WIDTH, shutil.get_terminal_size((FALLBACK_WIDTH, 24)).columns) - indent
    lines = [heading]
    for name, text in named:
        first, *rest = textwrap.wrap(text, max(width, 30)) or [""]
        lines += [f"  {name:{indent - 2}}{first}".rstrip(), *(" " * indent + line for line in rest)]
    return "\n".join(lines)


def _row(flag: Flag) -> tuple[str, str]:
    """The two columns of a flag: spelling with kind of value, and text with allowed values and default."""
    kind = "NUMBER" if flag.allowed == "a number" or "x" in flag.allowed.split() else "VALUE"
    match flag.takes:
        case "switch":
            shape = f", --no-{flag.spelling[2:]}" if flag.value else ""
        case "one":
            shape = f" {kind}"
        case "at most one":
            shape = f" [{kind}]"
        case "many":
            shape = f" {kind} ..."
    used = "required" if flag.required else flag.value
    allowed = f" [{flag.allowed}]" if flag.allowed else ""
    return flag.spelling + shape, f"{flag.text}{allowed}{f' ({used})' if used else ''}"
