"""The interface of all test servers."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Self

from tests.servers.daemon import Daemon


class Server(abc.ABC):
    """A server that runs within its context and can fail like real servers.

    Attributes:
        daemon: the program to which clients connect.
    """

    daemon: Daemon

    @abc.abstractmethod
    def start(self) -> None:
        """Start the server."""

    def stop(self) -> None:
        """Stop the server regularly."""
        self.daemon.stop()

    def kill(self) -> None:
        """Send SIGKILL to all processes of the server."""
        self.daemon.kill()

    def pause(self) -> None:
        """Send SIGSTOP to all processes of the server."""
        self.daemon.pause()

    def resume(self) -> None:
        """Send SIGCONT to all processes of the server."""
        self.daemon.resume()

    def close(self) -> None:
        """Stop the server and remove everything that belongs to it."""
        self.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
