"""The server of keys after its driver has left the cluster. The cluster tests have one that is open."""

from __future__ import annotations

from unittest.mock import Mock

from core.cluster.key_server import KeyServer
from core.storage.rights import Rights


def test_requests_that_still_wait_are_not_answered() -> None:
    """The end of the driver's process waits for all answers, which take half a minute each while STS is away."""
    role = Mock()
    key_server = KeyServer(role)
    key_server.close()
    key_server._answer(0, Rights("task", ("bucket/key",)))
    role.keys.assert_not_called()
