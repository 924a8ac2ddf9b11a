"""The imports of all modules, read from the source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "analysis", "jobs")

Imports = dict[str, frozenset[str]]


@cache
def sources() -> dict[str, Path]:
    """Source of every module of the project by name. A package has the name of its folder."""
    files = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def imports() -> Imports:
    """The imports of each module, including those inside functions and for types only."""
    return {name: frozenset(_imported(ast.parse(path.read_text()))) - {name} for name, path in sources().items()}


@cache
def reached(name: str) -> frozenset[str]:
    """All modules that a module imports directly or indirectly."""
    found, open_ends = {name}, [name]
    while open_ends:
        new = imports().get(open_ends.pop(), frozenset()) - found
        found |= new
        open_ends += new
    return frozenset(found - {name})


def within(name: str, packages: Iterable[str]) -> bool:
    """True if the module is one of the packages or inside one of them."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def folder(name: str) -> str:
    """The folder of the first level in which a module is, such as ``core.storage``; ``core`` if it is in none."""
    room = ".".join(name.split(".")[:2])
    return room if room in sources() and sources()[room].name == "__init__.py" else room.partition(".")[0]


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            module = node.module or ""
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield whole if whole in sources() else module
