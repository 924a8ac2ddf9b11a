"""Checks of paths given by the user, made before the work that reads or writes there."""

from __future__ import annotations

import os
from pathlib import Path


def is_file(path: str) -> bool:
    """True for an existing file."""
    try:
        return Path(path).is_file()
    except OSError:  # a name that is too long
        return False


def can_be_file(path: Path) -> bool:
    """True for an existing file that may be replaced, and for a new name in a folder that may be written."""
    try:
        if path.exists() or path.is_symlink():
            return path.is_file() and os.access(path, os.W_OK)
        return path.parent.is_dir() and os.access(path.parent, os.W_OK)
    except OSError:  # a name that is too long
        return False


def can_be_folder(path: Path) -> bool:
    """True for an existing folder that may be written, and for a new path below one."""
    try:
        if path.exists() or path.is_symlink():
            return path.is_dir() and os.access(path, os.W_OK)
        return path != path.parent and can_be_folder(path.parent)
    except OSError:
        return False
