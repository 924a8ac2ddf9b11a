"""Fixtures that run real sweeps like a user does: in separate processes and in a separate folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.command.request import read_request
from core.sweep.trial_plan import fixed_trials
from tests.servers.marked_processes import kill_marked, marked
from tests.servers.shared_ray import SharedRay
from tests.timeless import timeless
from tests.without_ray import Record, train

JOB = Path(__file__).parents[2] / "jobs" / "sweep_trades.py"
PRESETS = JOB.parent / "presets"
TINY_DATA = (
    *("--dataset", "fields", "--epsilon", "0.17"),
    *("--classes", "10", "--train-images", "260", "--validation-images", "60", "--test-images", "60"),
    *("--batch-size", "20", "--verdict-images", "40", "--square-queries", "50", "--pgd50-restarts", "1"),
    *("--checkpoint-s", "0"),
)
"""Options for any training method."""
TINY = (*TINY_DATA, "--beta", "1")
TWO_TRIALS = ("--name", "tiny", "--seeds", "2", "--epochs", "40")
LIMIT_S = 900
"""Seconds within which everything that a test waits for must happen, also on a slow and busy machine."""
MARK = "UNMASK_TEST_SWEEP"
"""Environment variable that marks all processes which a test's sweep starts."""


class Sweep:
    """A sweep's command line, run in ``folder``: Python with ``program`` and the options ``common`` of each run."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.log = folder / "log.txt"
        self.program: tuple[str, ...] = (str(JOB),)
        self.common: tuple[str, ...] = TINY
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120", MARK: str(folder)}
        self._marks = [(MARK, str(folder))]

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the job in a new process group."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *self.program, *self.common, *options],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *options: str, code: int = 0) -> str:
        """Run the job to its end, check its exit code, and return what it printed."""
        before = len(self.text)
        process = self.start(*options)
        assert process.wait(timeout=LIMIT_S) == code, self.text[before:]
        return self.text[before:]

    @property
    def text(self) -> str:
        """The output of the jobs up to now."""
        return self.log.read_text() if self.log.exists() else ""

    def wait_for(self, condition: Callable[[], bool], seconds: float = LIMIT_S) -> None:
        """Wait until ``condition`` holds, and leave a processor free for most of this time."""
        deadline = time.monotonic() + seconds
        while True:
            began = time.monotonic()
            if condition():
                return
            assert began < deadline, f"waited {seconds} s in vain:\n{self.text}"
            time.sleep(max(0.05, 3 * (time.monotonic() - began)))

    def processes(self, title: str = "") -> list[psutil.Process]:
        """Live processes of this sweep's jobs and of its cluster whose command line contains ``title``."""
        return [process for mark in self._marks for process in marked(*mark, title)]

    def newest(self, title: str) -> psutil.Process:
        """The process of `processes` that started last. The shared cluster may still end those of an earlier test."""
        return max(self.processes(title), key=lambda process: process.create_time())

    def kill_all(self) -> None:
        """Kill all processes that still run."""
        kill_marked(MARK, str(self.folder))

    def join(self, cluster: SharedRay) -> None:
        """Run the following jobs on this cluster."""
        self.environment |= cluster.environment
        self._marks.append(cluster.mark)

    def records(self, name: str) -> dict[str, Record]:
        """The stored records by key, without fields that depend on the clock, the machine or the number of attempts."""
        trials = self.folder / "results" / name / "trials"
        files = [*trials.glob("*/crash.json"), *trials.glob("*/record.json")]  # a result counts, not a crash beside it
        return {file.parent.name: timeless(json.loads(file.read_text())) for file in files}


@pytest.fixture(scope="session")
def new_sweep(empty_store: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Sweep]]:
    """A function that makes a sweep in a new folder, whose jobs find MLflow's database and need not create it.

    All processes of the sweeps are killed at the end.
    """
    made: list[Sweep] = []

    def make(name: str) -> Sweep:
        made.append(Sweep(tmp_path_factory.mktemp(name)))
        (made[-1].folder / "mlflow.db").write_bytes(empty_store)
        return made[-1]

    yield make
    for sweep in made:
        sweep.kill_all()


@pytest.fixture
def local_sweep(empty_store: bytes, tmp_path: Path) -> Iterator[Sweep]:
    """A sweep in the test's folder, of which each job starts a cluster. All its processes are killed after the test."""
    sweep = Sweep(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    yield sweep
    sweep.kill_all()


@pytest.fixture
def sweep(local_sweep: Sweep, shared_ray: SharedRay) -> Sweep:
    """A sweep in a new folder, whose jobs run on the shared cluster."""
    local_sweep.join(shared_ray)
    return local_sweep


@pytest.fixture(scope="session")
def undisturbed() -> dict[str, Record]:
    """The records of the sweep `TWO_TRIALS` without faults by key, as `Sweep.records` has them, trained without Ray."""
    sweep = read_request((*TINY, *TWO_TRIALS), PRESETS, "").sweep
    return {trial.key: timeless(train(trial, sweep.protocol, sweep.name)) for trial in fixed_trials(sweep)}
