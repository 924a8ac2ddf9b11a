"""Real servers for tests, on free ports of one address and in separate folders.

Each has ``start() stop() kill() pause() resume()``. As a context manager it starts on entry, and removes its processes
and files on exit, also after errors. ``stop`` and ``kill`` keep the stored content, and ``start`` serves it again at
the same address.
"""

from tests.servers.mlflow_server import MlflowServer
from tests.servers.object_store import ObjectStore
from tests.servers.postgres import Postgres

__all__ = ["MlflowServer", "ObjectStore", "Postgres"]
