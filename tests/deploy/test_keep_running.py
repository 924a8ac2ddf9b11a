"""A driver that dies is started again by a script, by systemd, and by KubeRay."""

from __future__ import annotations

import configparser
import contextlib
import io
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.command.exit_codes import (
    ALL_CRASH,
    BAD_INPUT,
    DONE,
    FAILED,
    INCOMPLETE,
    INTERRUPTED,
    OVER_BUDGET,
    TEMPORARY,
)
from core.command.request import read_request
from jobs.deploy.ray_job import main
from tests.deploy.conftest import DEPLOY, ROOT

SCRIPT = DEPLOY / "keep-running.sh"
UNIT = DEPLOY / "unmask-sweep@.service"
COMMAND = """
count=$(cat count 2>/dev/null || echo 0)
echo $((count + 1)) >count
set -- {ends}
shift "$count"
case $1 in
  SIG*) kill -s "$1" $$ ;;
  *) exit "$1" ;;
esac
"""
"""A command that ends in another way each time: with an exit code or by a signal."""
RAY_JOB_FIELDS = {
    # RayJobSpec of KubeRay 1.5
    *("activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "metadata", "clusterSelector"),
    *("submitterConfig", "managedBy", "deletionStrategy", "entrypoint", "runtimeEnvYAML", "jobId", "submissionMode"),
    *("entrypointResources", "entrypointNumCpus", "entrypointNumGpus", "ttlSecondsAfterFinished"),
    *("shutdownAfterJobFinishes", "suspend"),
}


def keep_running(folder: Path, *ends: int | str, **settings: str) -> subprocess.CompletedProcess[str]:
    (folder / "command.sh").write_text(COMMAND.format(ends=" ".join(map(str, ends))))
    return subprocess.run(
        ["bash", str(SCRIPT), "bash", "command.sh"],
        cwd=folder,
        env={**os.environ, "UNMASK_PAUSE_S": "0", **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


def starts(folder: Path) -> int:
    return int((folder / "count").read_text())


@pytest.mark.parametrize(
    "ends, code, started",
    [
        ((DONE,), DONE, 1),
        (("SIGKILL", FAILED, TEMPORARY, "SIGSEGV", DONE), DONE, 5),
        ((BAD_INPUT, DONE), BAD_INPUT, 1),
        ((TEMPORARY, BAD_INPUT, DONE), BAD_INPUT, 2),
        ((INTERRUPTED, DONE), INTERRUPTED, 1),
        ((ALL_CRASH, DONE), ALL_CRASH, 1),
        ((OVER_BUDGET, INCOMPLETE), DONE, 1),
        ((INCOMPLETE, INCOMPLETE, DONE), DONE, 3),
        ((INCOMPLETE, INCOMPLETE, INCOMPLETE, DONE), INCOMPLETE, 3),
        ((INCOMPLETE, INCOMPLETE, TEMPORARY, INCOMPLETE, INCOMPLETE, DONE), DONE, 6),
    ],
)
def test_the_exit_code_decides_whether_the_command_starts_again(
    tmp_path: Path, ends: tuple[int | str, ...], code: int, started: int
) -> None:
    ended = keep_running(tmp_path, *ends)
    assert (ended.returncode, starts(tmp_path)) == (code, started)
    assert ended.stdout.count("the command starts again") == started - 1


def test_a_command_that_never_works_is_given_up(tmp_path: Path) -> None:
    assert keep_running(tmp_path, *[TEMPORARY] * 9, UNMASK_RESTARTS="4").returncode == TEMPORARY
    assert starts(tmp_path) == 5


@pytest.mark.slow
def test_pauses_grow(tmp_path: Path) -> None:
    began = time.monotonic()
    assert keep_running(tmp_path, 1, 1, 0, UNMASK_PAUSE_S="1").returncode == 0
    assert 3 <= time.monotonic() - began < 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("state", ["running", "just started", "in a pause"])
def test_a_signal_ends_the_command_and_the_script(tmp_path: Path, number: signal.Signals, state: str) -> None:
    """The command, like a sweep, needs time to end.

    With ``just started``, each command of the script takes 50 ms, and the signal comes while it starts the command.
    """
    slow = tmp_path / "slow.sh"
    slow.write_text("case $0 in *keep-running.sh) set -T; trap 'sleep 0.05' DEBUG ;; esac")
    code = "trap 'sleep 0.3; echo saved; exit 130' TERM; echo ready; for i in {1..600}; do sleep 0.1; done"
    command = ["bash", "-c", code if state != "in a pause" else "echo ready; exit 4"]
    process = subprocess.Popen(
        ["bash", str(SCRIPT), *command],
        env={**os.environ, "UNMASK_PAUSE_S": "600", **({"BASH_ENV": str(slow)} if state == "just started" else {})},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell cannot catch a signal that was ignored when it started, as SIGINT is below a job in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if state == "in a pause":
            assert "starts again in 600 s" in process.stdout.readline()
        process.send_signal(number)
        try:
            assert process.wait(20) == INTERRUPTED
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.stdout.read() == ("" if state == "in a pause" else "saved\n")


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(UNIT)
    return parsed


def test_systemd_starts_again_what_no_person_has_to_correct(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert service["Restart"] == "on-failure"
    prevented = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert prevented == {BAD_INPUT, INCOMPLETE, ALL_CRASH}
    assert {int(code) for code in service["SuccessExitStatus"].split()} == {INTERRUPTED}
    assert not prevented & {FAILED, TEMPORARY}
    interpreter, script, *command = shlex.split(service["ExecStart"])
    assert Path(interpreter).exists()
    assert ROOT / script == SCRIPT
    assert command == ["@PYTHON@", "jobs/sweep_trades.py", "--name", "%i", "$OPTIONS"]


def test_the_unit_is_one_of_systemd(tmp_path: Path) -> None:
    verify = Path("/usr/bin/systemd-analyze")
    if not verify.exists():
        pytest.skip("needs systemd-analyze, from Debian's package systemd")
    text = UNIT.read_text().replace("@CHECKOUT@", str(ROOT)).replace("@PYTHON@", sys.executable)
    written = tmp_path / UNIT.name
    written.write_text(text)
    done = subprocess.run([verify, "verify", "--man=no", str(written)], capture_output=True, text=True)
    mine = [line for line in done.stderr.splitlines() if "unmask-sweep" in line]
    assert mine == [], done.stderr
    written.write_text(text.replace("Restart=on-failure", "Restart=on-falure"))
    done = subprocess.run([verify, "verify", "--man=no", str(written)], capture_output=True, text=True)
    assert "restart" in done.stderr, "the check notices a mistake"


def printed(*args: str) -> dict[str, Any]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(list(args)) == 0
    return yaml.safe_load(out.getvalue())


def test_the_help_of_a_ray_job_is_its_description(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "python jobs/deploy/ray_job.py mine" in capsys.readouterr().out
    assert main(["Mine"]) == 2


def test_a_ray_job_runs_the_sweep_and_is_repeated_on_a_new_cluster(manifest: list[dict[str, Any]]) -> None:
    job = printed("mine", "--preset", "quick", "--max-concurrent", "16", "--beta", "1", "6")
    assert (job["apiVersion"], job["kind"], job["metadata"]["name"]) == ("ray.io/v1", "RayJob", "unmask-mine")
    spec = job["spec"]
    assert set(spec) <= RAY_JOB_FIELDS
    assert spec["backoffLimit"] > 0
    assert "clusterSelector" not in spec, "KubeRay refuses it together with backoffLimit"
    assert spec["shutdownAfterJobFinishes"] is True, "otherwise a time to live is refused"
    interpreter, script, python, sweep, *options = shlex.split(spec["entrypoint"])
    assert (interpreter, python) == ("bash", "python")
    assert (ROOT / script).exists()
    assert (ROOT / sweep).exists()
    request = read_request(options, ROOT / "jobs" / "presets", "")
    assert (request.sweep.name, request.run.max_concurrent) == ("mine", 16)

    (cluster,) = [document["spec"] for document in manifest if document["kind"] == "RayCluster"]
    made = spec["rayClusterSpec"]
    assert made["authOptions"] == {"mode": "token"}
    assert "RAY_AUTH" not in str(made)
    assert "ray-token" not in str(made)
    groups = [[part["headGroupSpec"], *part["workerGroupSpecs"]] for part in (made, cluster)]
    for mine, original in zip(*groups, strict=True):
        pods = [group["template"]["spec"] for group in (mine, original)]
        images = [[container["image"] for container in pod["containers"]] for pod in pods]
        assert images[0] == images[1]
        own = {"token"}
        for kind in ("volumes",):
            assert [v for v in pods[1][kind] if v["name"] not in own] == pods[0][kind]


@pytest.mark.parametrize("args", [(), ("Mine",), ("a" * 40,), ("--preset", "quick")])
def test_a_name_that_kubernetes_refuses_is_refused_here(args: tuple[str, ...]) -> None:
    assert main(list(args)) == 2
