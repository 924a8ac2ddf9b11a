"""A copy of a database before MLflow upgrades its schema, which cannot be undone."""

from __future__ import annotations

import filecmp
import itertools
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

UNKNOWN = "unknown"
"""Revision of a database whose tables are those of no revision."""


def back_up_if_outdated(database: Path, open_store: Callable[[Path], object]) -> Path | None:
    """Copy a database that MLflow would upgrade to a file beside it, ``mlflow.db.before-REVISION``; return the copy.

    REVISION is the revision of the schema that the database has. A file of this name with other content is kept, and
    the copy gets a number. None is returned if MLflow would change nothing, or if the database has no tables.

    MLflow does not say whether it would upgrade a database, and upgrades some while it opens them. Therefore it opens
    an empty database of the same schema first, which takes 0.1 to 0.2 s.

    Args:
        database: the file.
        open_store: opens the store in a database; it raises an error or upgrades the schema if that is outdated.

    Raises:
        OSError: the copy cannot be written. The upgrade must not begin then.
        sqlite3.Error: the same, or the file is not a database.
    """
    draft = database.with_name(f".{database.name}.backup.draft")
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)) as source:
        if (revision := _revision(source)) is None:
            return None
        with (
            tempfile.TemporaryDirectory() as folder
        ):  # MLflow keeps what it knows of a path, so that each needs its own
            if not _is_changed(source, revision, Path(folder) / "empty.db", open_store):
                return None
        draft.unlink(missing_ok=True)  # of a driver that was killed
        try:
            with closing(sqlite3.connect(draft)) as target:
                source.backup(target)
            return _kept(draft, database.with_name(f"{database.name}.before-{revision}"))
        finally:
            draft.unlink(missing_ok=True)


def _is_changed(source: sqlite3.Connection, revision: str, empty: Path, open_store: Callable[[Path], object]) -> bool:
    """Whether MLflow, when it opens an empty database of the same schema, changes its revision or refuses it."""
    from mlflow.exceptions import MlflowException

    with closing(sqlite3.connect(empty)) as target:
        for (statement,) in source.execute(
            "select sql from sqlite_master where sql is not null and name not like 'sqlite_%'"
        ):
            target.execute(statement)
        if revision != UNKNOWN:
            target.execute("insert into alembic_version values (?)", [revision])
        target.commit()
    try:
        open_store(empty)
    except MlflowException:
        return True
    with closing(sqlite3.connect(empty)) as target:
        return _revision(target) != revision


def _revision(database: sqlite3.Connection) -> str | None:
    """The revision of the schema; `UNKNOWN` if the tables are those of no revision, None if there are no tables."""
    tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    if "alembic_version" not in tables:
        return UNKNOWN if tables else None
    found = database.execute("select version_num from alembic_version").fetchone()
    return str(found[0]) if found else UNKNOWN


def _kept(draft: Path, name: Path) -> Path:
    """The draft under this name or the next free one, or an earlier copy of the same content."""
    numbered = (name.with_name(f"{name.name}.{number}") for number in itertools.count(2))
    copy = next(
        copy
        for copy in itertools.chain([name], numbered)
        if not copy.exists() or filecmp.cmp(draft, copy, shallow=False)
    )
    return draft.replace(copy)
