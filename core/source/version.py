"""Versions of installed packages, and of this code."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

from core.source.tree import CORE, source_tree

OURS = "unmask"


def package_version(name: str) -> str:
    """Version of a package; our own is that of the code that runs. ``source`` where nothing says it."""
    try:
        return (version_beside(CORE.parent) if name == OURS else None) or metadata.version(name)
    except metadata.PackageNotFoundError:
        return "source"


def code_version() -> str:
    """Our own version and what code it really is: ``unmask 0.1.0+core.3f2a9c1b2d3e``, with `source_tree`."""
    return f"{OURS} {package_version(OURS)}+core.{source_tree()}"


def version_beside(folder: Path) -> str | None:
    """The version in our ``pyproject.toml`` in ``folder``; None if there is none, or it is another project's."""
    file = folder / "pyproject.toml"
    project = tomllib.loads(file.read_text()).get("project", {}) if file.is_file() else {}
    return project.get("version") if project.get("name") == OURS else None
