"""Real servers for tests, on free ports of one address, in folders of their own.

Each has ``start() stop() kill() pause() resume()``; as a context manager it starts and, whatever happens, leaves
nothing behind. ``stop`` and ``kill`` keep what was stored, and ``start`` serves it again at the same address.
"""

from tests.servers.mlflow_server import MlflowServer
from tests.servers.object_store import ObjectStore
from tests.servers.postgres import Postgres

__all__ = ["MlflowServer", "ObjectStore", "Postgres"]
