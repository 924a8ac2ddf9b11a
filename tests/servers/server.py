"""What all test servers can do."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Self

from tests.servers.daemon import Daemon


class Server(abc.ABC):
    """Serves while it is entered, and can break as servers do.

    Attributes:
        daemon: the program that clients talk to.
    """

    daemon: Daemon

    @abc.abstractmethod
    def start(self) -> None:
        """Serve."""

    def stop(self) -> None:
        """End it in order."""
        self.daemon.stop()

    def kill(self) -> None:
        """SIGKILL, all its processes."""
        self.daemon.kill()

    def pause(self) -> None:
        """SIGSTOP, all its processes."""
        self.daemon.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.daemon.resume()

    def close(self) -> None:
        """End it and all that belongs to it."""
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
