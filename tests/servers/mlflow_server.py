"""A real MLflow server."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.servers.daemon import Daemon, MissingProgramError, answers, free_port
from tests.servers.server import Server

AUTHENTICATION = """[mlflow]
default_permission = READ
database_uri = {database}
admin_username = {username}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


class MlflowServer(Server):
    """An MLflow tracking server at ``uri``, which also stores the artifacts of its clients.

    Args:
        folder: folder of the log, the settings and, by default, the artifacts.
        backend: SQLAlchemy address of the database. The schema is created in an empty database.
        users: address of a database of users; the server then requires a name and a password. None: no authentication.
        artifacts: folder or ``s3://`` URI of artifacts.
        host: address at which the server listens.
        environment: further environment variables, such as the keys of an object store.
    """

    username = "admin"
    password = "correct-horse-battery"

    def __init__(
        self,
        folder: Path,
        backend: str,
        *,
        users: str | None = None,
        artifacts: str | None = None,
        host: str = "127.0.0.1",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if users is not None and importlib.util.find_spec("flask_wtf") is None:
            raise MissingProgramError("needs mlflow[auth], from the extra `cluster`")
        self.host, self.port = host, free_port(host)
        self.uri = f"http://{host}:{self.port}"
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", host, "--port", str(self.port)]
        command += ["--backend-store-uri", backend, "--artifacts-destination", artifacts or str(folder / "artifacts")]
        command += ["--allowed-hosts", f"{host}:{self.port},localhost:{self.port}"]
        settings = {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "20",
            "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "20",
            **(environment or {}),
        }
        if users is not None:
            file = folder / "auth.ini"
            file.write_text(AUTHENTICATION.format(database=users, username=self.username))
            command += ["--app-name", "basic-auth"]
            settings |= {
                "MLFLOW_AUTH_CONFIG_PATH": str(file),
                "MLFLOW_AUTH_ADMIN_PASSWORD": self.password,
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "any",
            }
        self.log = folder / "mlflow-server.log"
        self.daemon = Daemon(command, self.log, settings)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with the credentials of a user."""
        return {"MLFLOW_TRACKING_USERNAME": self.username, "MLFLOW_TRACKING_PASSWORD": self.password}

    def start(self) -> None:
        """Start the server."""
        self.daemon.start(lambda: answers(f"{self.uri}/health"))
