"""Commands of the nodes, run in a similar home folder."""

from __future__ import annotations

import configparser
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import DEPLOY, ROOT

SCRIPTS = sorted(DEPLOY.glob("*.sh"))
KEYS = [
    *("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands"),
    *("head_start_ray_commands", "worker_start_ray_commands"),
]
NODE_ID = "0123456789abcdef" * 3 + "01234567"


def run(command: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command like Ray's command runner, in a shell that does not inherit the environment."""
    clean = {"HOME": str(home), "PATH": "/usr/bin:/bin", "USER": "ubuntu", "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(["bash", "-c", command], env=clean, capture_output=True, text=True, timeout=60, check=False)


def calls(recorded: Path) -> list[tuple[str, dict[str, str]]]:
    """Arguments and environment of each call of ``ray``."""
    found = []
    for block in recorded.read_text().strip().split("\n\n"):
        arguments, *environment = block.splitlines()
        found.append((arguments, dict(line.split("=", 1) for line in environment if "=" in line)))
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script_is_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("key", KEYS)
def test_command_is_bash_and_its_scripts_exist(prepared: dict[str, Any], key: str, home: Path) -> None:
    for command in prepared[key]:
        subprocess.run(["bash", "-n", "-c", command], check=True)
        scripts = [word.rstrip(";") for word in command.split() if word.startswith("~/unmask/")]
        assert scripts, command
        assert all((home / script[2:]).is_file() for script in scripts), command


@pytest.mark.parametrize("key", KEYS[-2:])
def test_every_ray_process_has_the_token_and_no_telemetry(
    prepared: dict[str, Any], key: str, home: Path, recorded: Path
) -> None:
    for command in prepared[key]:
        if "watch-spot" not in command:
            result = run(command, home, RAY_HEAD_IP="10.0.0.7")
            assert result.returncode == 0, result.stderr
    made = calls(recorded)
    assert [arguments.split()[1] for arguments, _ in made] == ["stop", "start"]
    for _, environment in made:
        assert environment["RAY_AUTH_MODE"] == "token"
        assert Path(environment["RAY_AUTH_TOKEN_PATH"]).read_text().strip() == "a" * 64
        assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
        assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert environment["MLFLOW_TRACKING_URI"] == "http://10.0.0.7:5000"
        assert "OMP_NUM_THREADS" not in environment
        assert "a" * 64 not in environment.values()


def test_workers_join_the_head_and_its_dashboard_stays_on_loopback(
    prepared: dict[str, Any], home: Path, recorded: Path
) -> None:
    run(prepared["head_start_ray_commands"][-1], home)
    run(prepared["worker_start_ray_commands"][1], home, RAY_HEAD_IP="10.0.0.7")
    (head, _), (worker, _) = calls(recorded)
    assert {"--head", "--port=6379", "--dashboard-host=127.0.0.1"} <= set(head.split())
    assert f"--autoscaling-config={home}/ray_bootstrap_config.yaml" in head.split() or "~/ray_bootstrap" in head
    assert "--address=10.0.0.7:6379" in worker.split()


def test_secrets_are_made_once_and_for_their_owner_only(home: Path) -> None:
    (home / ".unmask" / "ray_token").unlink()
    run(f"bash {DEPLOY}/make-secrets.sh", home)
    assert [file.name for file in (home / ".unmask").iterdir()] == ["ray_token"]
    names = ("mlflow_password", "mlflow_secret_key", "mlflow_job_password")
    run(f"bash {DEPLOY}/make-secrets.sh {' '.join(names)}", home)
    made = {file.name: file.read_text() for file in (home / ".unmask").iterdir()}
    assert set(made) == {"ray_token", *names}
    assert len({len(secret.strip()) for secret in made.values()} | {64}) == 1
    assert len(set(made.values())) == 4
    assert all(file.stat().st_mode & 0o077 == 0 for file in (home / ".unmask").iterdir())
    run(f"bash {DEPLOY}/make-secrets.sh {' '.join(names)}", home)
    assert {file.name: file.read_text() for file in (home / ".unmask").iterdir()} == made


@pytest.fixture
def programs(tmp_path: Path, home: Path) -> Path:
    """A folder of programs that only note that they were called, for steps that install gigabytes or need root."""
    folder = tmp_path / "programs"
    folder.mkdir()
    named = [folder / name for name in ("python3", "sudo")]
    for program in (*named, home / "unmask-env" / "bin" / "pip", home / "unmask-env" / "bin" / "python"):
        program.write_text(f'#!/bin/bash\necho "$0 $*" >>{tmp_path}/done\n')
        program.chmod(0o755)
    return folder


def test_setting_up_a_node_twice_leaves_one_login_line_and_no_password(
    home: Path, tmp_path: Path, programs: Path
) -> None:
    (home / ".bashrc").write_text("# the image's own\n")
    (home / "unmask-env" / "mlflow_uri").unlink()
    for _ in range(2):
        result = run(f"bash {DEPLOY}/node-setup.sh", home, RAY_HEAD_IP="10.0.0.9", PATH=f"{programs}:/usr/bin:/bin")
        assert result.returncode == 0, result.stderr
    assert (home / ".bashrc").read_text() == f"# the image's own\n. {DEPLOY}/environment.sh\n"
    assert (home / "unmask-env" / "head_ip").read_text() == "10.0.0.9\n"
    assert not (home / "unmask-env" / "mlflow_uri").exists()
    assert not (home / ".mlflow").exists()
    assert [file.name for file in (home / ".unmask").iterdir()] == ["ray_token"]
    assert (home / ".unmask" / "ray_token").stat().st_mode & 0o077 == 0
    (install,) = {line for line in (tmp_path / "done").read_text().splitlines() if "/pip " in line}
    assert install.endswith(f"install --quiet -c {DEPLOY}/constraints.txt -e {DEPLOY}/../..[cluster]")


CALLER = "arn:aws-cn:sts::123456789012:assumed-role/unmask-head/i-0123"
"""What STS says of the head's role, in a part of AWS that is not the usual one."""
SECRETS = {"mlflow_password", "mlflow_secret_key", "mlflow_job_password"}
SUDO = """#!/bin/bash
echo "sudo $*" >>{folder}/done
arguments=("${{@//\\/var\\/lib\\/mlflow/{service}}}")
case "$*" in
  "-u mlflow -H "*) HOME={home} exec "${{arguments[@]:3}}" ;;
  *" -t /etc/systemd/system "*) cp "${{!#}}" {folder} ;;
  install* | ln* | chmod*) exec "${{arguments[@]}}" ;;
  *"where rolname = 'mlflow'"* | *"where datname"*) ;;
  *"where rolname"*) echo 1 ;;
esac
"""
"""A ``sudo`` that notes its arguments, and does what concerns the files of the user ``mlflow``, in another folder."""


@pytest.fixture
def service(tmp_path: Path, home: Path, programs: Path) -> Path:
    """The home folder of the user ``mlflow``."""
    folder = tmp_path / "service"
    folder.mkdir()
    (home / "unmask-env" / "bin" / "python").write_text(f"#!/bin/bash\necho {CALLER}\n")
    (programs / "sudo").write_text(SUDO.format(folder=tmp_path, home=folder, service=str(folder).replace("/", "\\/")))
    return folder


@pytest.mark.parametrize("earlier", [True, False])
def test_the_login_user_gets_the_password_of_jobs_and_no_other_one_of_mlflow(
    home: Path, tmp_path: Path, programs: Path, service: Path, earlier: bool
) -> None:
    """Drivers run as the login user. An earlier version ran the server as this user, whose passwords are then kept."""
    for name in SECRETS if earlier else ():
        (home / ".unmask" / name).write_text(f"old-{name}\n")
    for _ in range(2):
        result = run(f"bash {DEPLOY}/head-services.sh", home, PATH=f"{programs}:/usr/bin:/bin")
        assert result.returncode == 0, result.stderr
    assert [file.name for file in (home / ".unmask").iterdir()] == ["ray_token"]
    files = {file.name: file for file in (service / ".unmask").iterdir()}
    assert files.keys() == SECRETS
    for file in (service, service / ".unmask", *files.values()):
        assert file.stat().st_mode & 0o077 == 0, file
    secrets = {name: file.read_text().strip() for name, file in files.items()}
    assert (secrets == {name: f"old-{name}" for name in SECRETS}) == earlier
    defaults = {
        name: (home / "unmask-env" / name).read_text().strip() for name in ("mlflow_uri", "storage", "worker_role")
    }
    assert defaults == {
        "mlflow_uri": "http://10.0.0.7:5000",
        "storage": "s3://unmask-123456789012/results",
        "worker_role": "arn:aws-cn:iam::123456789012:role/unmask-trial",
    }
    credentials = home / ".mlflow" / "credentials"
    assert credentials.stat().st_mode & 0o077 == 0
    parsed = configparser.ConfigParser()
    parsed.read(credentials)
    assert dict(parsed["mlflow"]) == {
        "mlflow_tracking_username": "job",
        "mlflow_tracking_password": secrets["mlflow_job_password"],
    }
    hidden = {value for name, value in secrets.items() if name != "mlflow_job_password"}
    readable = [file.read_text() for file in home.rglob("*") if file.is_file() and DEPLOY not in file.parents]
    assert not any(secret in text for secret in hidden for text in readable)
    printed = result.stdout + result.stderr + (tmp_path / "done").read_text()
    assert not any(secret in printed for secret in secrets.values())


def test_the_mlflow_server_of_the_head_is_a_user_of_its_own_also_in_the_database(
    home: Path, tmp_path: Path, programs: Path, service: Path
) -> None:
    result = run(f"bash {DEPLOY}/head-services.sh", home, PATH=f"{programs}:/usr/bin:/bin")
    assert result.returncode == 0, result.stderr
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(tmp_path / "mlflow.service")
    assert unit["Service"]["User"] == "mlflow"
    script = unit["Service"]["ExecStart"].removeprefix("/bin/bash /var/lib/mlflow/")
    assert (service / script).read_bytes() == (DEPLOY / "mlflow-server.sh").read_bytes()
    assert {file.name for file in service.iterdir() if file.suffix in (".sh", ".py")} == {
        *("mlflow-server.sh", "environment.sh", "make-secrets.sh", "add-mlflow-user.py")
    }
    assert (service / "unmask-env").resolve() == (home / "unmask-env").resolve()
    done = (tmp_path / "done").read_text().splitlines()
    assert "sudo -u postgres createuser mlflow" in done
    for database in ("mlflow", "mlflow_auth"):
        assert f"sudo -u postgres createdb --owner mlflow {database}" in done


class Notice(BaseHTTPRequestHandler):
    """Version 2 of the metadata service. It requires a token, and returns a notice from the second request on."""

    questions = 0

    def do_PUT(self) -> None:
        self._answer(200 if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else 400, b"session")

    def do_GET(self) -> None:
        assert self.path == "/latest/meta-data/spot/instance-action"
        authorised = self.headers["X-aws-ec2-metadata-token"] == "session"
        type(self).questions += authorised
        noticed = authorised and self.questions > 1
        self._answer(200 if noticed else 404 if authorised else 401, b'{"action": "terminate"}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def metadata_service() -> Iterator[str]:
    Notice.questions = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Notice) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
def test_a_spot_notice_drains_this_node(home: Path, recorded: Path, metadata_service: str) -> None:
    # These simulate raylets. The script uses only their arguments. The first belongs to another cluster.
    raylets = [
        subprocess.Popen(["bash", "-c", f"exec -a 'raylet --node_id={node} --gcs-address={head}:6379 --x' sleep 60"])
        for node, head in ((NODE_ID[::-1], "10.0.0.8"), (NODE_ID, "10.0.0.7"))
    ]
    try:
        time.sleep(0.3)
        result = run(f"bash {DEPLOY}/watch-spot.sh", home, AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata_service)
    finally:
        for process in raylets:
            process.kill()
            process.wait()
    assert result.returncode == 0, result.stderr
    assert Notice.questions == 2
    ((arguments, environment),) = calls(recorded)
    assert arguments.split()[1] == "drain-node"
    assert f"--address 10.0.0.7:6379 --node-id {NODE_ID} --reason DRAIN_NODE_REASON_PREEMPTION" in arguments
    assert environment["RAY_AUTH_MODE"] == "token"


def test_jobs_keep_their_results_in_the_heads_bucket_unless_told_otherwise(home: Path) -> None:
    code = f"{sys.executable} -c 'from core.config.default_paths import storage_root; print(storage_root(None))'"
    asked = f". ~/unmask/jobs/deploy/environment.sh; cd ~/unmask; {code}"
    assert run(asked, home, UNMASK_STORAGE="").stdout == f"{ROOT}/results\n"
    (home / "unmask-env" / "storage").write_text("s3://unmask-123/results\n")
    assert run(asked, home).stdout == "s3://unmask-123/results\n"


def test_jobs_on_the_head_give_workers_keys_of_its_role(home: Path) -> None:
    code = (
        f"{sys.executable} -c 'from core.config.default_paths import worker_role; print(worker_role(None, \"s3://b\"))'"
    )
    asked = f". ~/unmask/jobs/deploy/environment.sh; cd ~/unmask; {code}"
    assert run(asked, home, UNMASK_WORKER_ROLE="").stdout == "None\n"
    (home / "unmask-env" / "worker_role").write_text("arn:aws:iam::123:role/unmask-trial\n")
    assert run(asked, home).stdout == "arn:aws:iam::123:role/unmask-trial\n"


def test_nodes_without_a_server_name_none(home: Path) -> None:
    asked = ". ~/unmask/jobs/deploy/environment.sh; echo ${MLFLOW_TRACKING_URI-none}"
    assert run(asked, home).stdout == "http://10.0.0.7:5000\n"
    (home / "unmask-env" / "mlflow_uri").unlink()
    assert run(asked, home).stdout == "none\n"
