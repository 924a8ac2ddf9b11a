"""The end of a job after a signal, also in the background of a script, where SIGINT is ignored."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

JOB = """
import sys, time
from core.command.exit_codes import run_job

def job():
    print("at work", flush=True)
    time.sleep(60)
    return 0

sys.exit(run_job(job))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("inherited", [signal.SIG_IGN, signal.default_int_handler])
def test_told_to_end(how: signal.Signals, inherited: signal.Handlers) -> None:
    before = signal.signal(signal.SIGINT, inherited)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", JOB], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.send_signal(how)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == "Interrupted; nothing is lost, run the same command again.\n"


def test_a_reader_that_ends_early_causes_no_complaint() -> None:
    talkative = (
        "import sys; from core.command.exit_codes import run_job; sys.exit(run_job(lambda: print('x' * 10**6) or 0))"
    )
    process = subprocess.Popen([sys.executable, "-c", talkative], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(1) == b"x"
    process.stdout.close()
    assert process.stderr is not None
    assert (process.stderr.read(), process.wait(timeout=60)) == (b"", 1)


def test_another_broken_pipe_does_not_end_a_job_without_a_word() -> None:
    job = JOB.replace("time.sleep(60)", "raise BrokenPipeError('a connection')")
    done = subprocess.run([sys.executable, "-c", job], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "BrokenPipeError: a connection" in done.stderr
