"""A real PostgreSQL server with a new database cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.servers.daemon import Daemon, free_port, program
from tests.servers.server import Server

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
UNPRIVILEGED = "postgres"
"""User of the server, which Debian's package creates. PostgreSQL does not run as root."""


class Postgres(Server):
    """PostgreSQL at ``host:port``, by TCP and password only. Its data survive kills, but not power cuts (fsync is off).

    Its files are in a new folder below the system's temporary folder, to which the unprivileged user has access.

    Args:
        databases: names of the databases to create.
        host: address at which the server listens.
    """

    user = "unmask"
    password = "open-sesame-of-postgres"

    def __init__(self, databases: tuple[str, ...] = ("mlflow", "mlflow_auth"), host: str = "127.0.0.1") -> None:
        self.programs = {name: program(name, "postgresql", PROGRAMS) for name in ("initdb", "postgres", "createdb")}
        self.databases, self.host, self.port = databases, host, free_port(host)
        self.folder = Path(tempfile.mkdtemp(prefix="unmask-pg-"))
        self._own(self.folder)
        self.daemon = Daemon(
            [
                *(self.programs["postgres"], "-D", self.folder / "data", "-h", host, "-p", str(self.port), "-k", ""),
                *("-c", "fsync=off", "-c", "full_page_writes=off"),
            ],
            self.folder / "log",
            user=UNPRIVILEGED,
        )

    def uri(self, database: str) -> str:
        """The SQLAlchemy address of a database."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for libpq and its programs."""
        return {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGPASSWORD": self.password}

    def query(self, database: str, sql: str) -> str:
        """The output of ``psql`` for a query, unaligned and without headers."""
        psql = program("psql", "postgresql-client", PROGRAMS)
        done = subprocess.run(
            [str(psql), database, "-Atc", sql], env=self._client(), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def start(self) -> None:
        """Start the server, the first time with a new database cluster."""
        new = not (self.folder / "data").exists()
        if new:
            self._make_cluster()
        self.daemon.start(self._accepts)
        if new:
            for name in self.databases:
                command = [str(self.programs["createdb"]), name]
                subprocess.run(command, env=self._client(), check=True, capture_output=True)

    def stop(self) -> None:
        """Stop the server in mode "fast", which rolls back open transactions."""
        self.daemon.stop(signal.SIGINT)

    def close(self) -> None:
        """Stop the server and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_cluster(self) -> None:
        password = self.folder / "password"
        password.write_text(self.password)
        self._own(password)
        command = [self.programs["initdb"], "-D", self.folder / "data", "-U", self.user, "--no-sync"]
        command += ["-A", "scram-sha-256", f"--pwfile={password}", "--locale=C", "-E", "UTF8"]
        as_user = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": ()} if os.geteuid() == 0 else {}
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", **as_user)
        if done.returncode:
            raise RuntimeError(f"initdb:\n{done.stdout}{done.stderr}")

    def _accepts(self) -> bool:
        ready = program("pg_isready", "postgresql-client", PROGRAMS)
        return subprocess.run([str(ready), "-q", "-t", "2"], env=self._client()).returncode == 0

    def _client(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            shutil.chown(path, UNPRIVILEGED, UNPRIVILEGED)
