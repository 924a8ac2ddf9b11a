"""Addresses of MLflow stores: the allowed tracking URIs and their absolute form."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.redaction import masked

ALLOWED = "allowed are sqlite:///PATH (a file in an existing folder) and http(s)://HOST:PORT (a running mlflow server)"
SQLITE = "sqlite:///"


def absolute_uri(uri: str) -> str:
    """The tracking address with an absolute database path or, for a server, without a trailing slash.

    Raises:
        ValueError: the address has another scheme or contains a password, or its folder does not exist.
    """
    if uri.startswith(SQLITE):
        return SQLITE + str(_database_file(uri))
    if uri.startswith(("http://", "https://")):
        return _server_address(uri)
    raise ValueError(f"--mlflow-uri {masked(uri)!r} is not a store this version can use; {ALLOWED}")


def database_path(uri: str) -> Path | None:
    """The database file of an absolute sqlite address; None for a server."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def _database_file(uri: str) -> Path:
    name = uri.removeprefix(SQLITE)
    if not name or name == ":memory:" or any(mark in name for mark in "?#%"):
        raise ValueError(f"--mlflow-uri {uri!r} names no database file (without ? # %); {ALLOWED}")
    file = Path.cwd() / name
    if not file.parent.is_dir():
        raise ValueError(f"--mlflow-uri {uri!r}: the folder {file.parent} does not exist; {ALLOWED}")
    try:
        file = file.resolve()
        is_folder = file.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long, or a circular link
        raise ValueError(f"--mlflow-uri {uri[:300]!r} cannot be a file; {ALLOWED}") from error
    if is_folder:
        raise ValueError(f"--mlflow-uri {uri!r}: {file} is a folder; {ALLOWED}")
    return file


def _server_address(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"--mlflow-uri {masked(uri)!r}: is malformed; {ALLOWED}") from None
    # A password with a slash ends the host's name before its sign. Escaped, other paths may have one: /user/me%40work/
    hidden = uri if "%3a" in parts.netloc.lower() else parts.netloc
    if "@" in uri or "@" in unquote(hidden):
        raise ValueError(
            f"--mlflow-uri {masked(uri)!r} contains a user name or password; set the environment variables "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    if not host or parts.query or parts.fragment:
        raise ValueError(f"--mlflow-uri {masked(uri)!r} is not the address of a server; {ALLOWED}")
    return uri.rstrip("/")
