"""The desk of keys after its driver has left the cluster. The cluster tests have the desk that is open."""

from __future__ import annotations

from unittest.mock import Mock

from core.cluster.key_desk import KeyDesk
from core.storage.rights import Rights


def test_requests_that_still_wait_are_not_answered() -> None:
    """The end of the driver's process waits for all answers, which take half a minute each while STS is away."""
    role = Mock()
    desk = KeyDesk(role)
    desk.close()
    desk._answer(0, Rights("task", ("bucket/key",)))
    role.keys.assert_not_called()
