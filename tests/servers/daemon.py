"""A server program in a separate process group."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

STARTS_WITHIN = 300


class Daemon:
    """Starts and stops one program, and appends its output to ``log``.

    Args:
        command: the program and its arguments.
        log: file of the program's output.
        environment: variables in addition to those of this process.
        user: user of the program, if this process is root.
    """

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None, user: str = ""
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self.environment = {**os.environ, **(environment or {})}
        self.user = user if os.geteuid() == 0 else ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], bool]) -> None:
        """Start the program, and return when ``ready()`` is true.

        Raises:
            RuntimeError: the program ended, or was not ready in `STARTS_WITHIN` seconds. The message is the log's end.
        """
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.log.parent,
                **({"user": self.user, "group": self.user, "extra_groups": ()} if self.user else {}),
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.command[0]} does not serve:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 30) -> None:
        """Ask the program to end, and kill it after ``seconds``."""
        if self.process is None:
            return
        self.resume()
        self._signal_group(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL to all processes of the program."""
        if self.process is None:
            return
        children = self._all()
        self._signal_group(signal.SIGKILL)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()
        deadline = time.monotonic() + 10
        while any(_runs(child) for child in children) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.process = None

    def pause(self) -> None:
        """Send SIGSTOP. The kernel still accepts connections, but requests are not answered."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT. The program continues."""
        self._signal_all(signal.SIGCONT)

    def _all(self) -> list[psutil.Process]:
        assert self.process is not None
        try:
            program = psutil.Process(self.process.pid)
            return [program, *program.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _signal_group(self, number: signal.Signals) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port(host: str) -> int:
    """A free TCP port of this address."""
    with socket.socket() as free:
        free.bind((host, 0))
        port: int = free.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """True if a request to the address succeeds."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True


def program(name: str, package: str, folders: Sequence[Path] = ()) -> Path:
    """The path of a program.

    Raises:
        MissingProgramError: the program is not installed.
    """
    searched = [*folders, *map(Path, os.environ.get("PATH", "").split(":")), Path("/usr/sbin"), Path("/sbin")]
    for folder in searched:
        if (folder / name).is_file():
            return folder / name
    raise MissingProgramError(f"needs {name}, from Debian's package {package}")


class MissingProgramError(RuntimeError):
    """A program is not installed. The message names the Debian package that contains it."""
