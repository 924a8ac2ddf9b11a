"""Versions of installed packages and of the running code."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

from core.source.tree import CORE, source_tree

OURS = "unmask"


def package_version(name: str) -> str:
    """Version of a package, for our own that of the running code; ``source`` if the version is unknown."""
    try:
        return (version_beside(CORE.parent) if name == OURS else None) or metadata.version(name)
    except metadata.PackageNotFoundError:
        return "source"


def code_version() -> str:
    """Our version, and `source_tree` to identify the exact code: ``unmask 0.1.0+core.3f2a9c1b2d3e``."""
    return f"{OURS} {package_version(OURS)}+core.{source_tree()}"


def version_beside(folder: Path) -> str | None:
    """The version in ``folder/pyproject.toml``; None if the file is missing or belongs to another project."""
    file = folder / "pyproject.toml"
    project = tomllib.loads(file.read_text()).get("project", {}) if file.is_file() else {}
    return project.get("version") if project.get("name") == OURS else None
