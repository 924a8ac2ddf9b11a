from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler.sdk import fillout_defaults

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "jobs" / "deploy"


class StackLoader(yaml.SafeLoader):
    """CloudFormation's YAML. ``!Sub text`` is its text, ``!Ref Name`` is ``${Name}``, ``!GetAtt A.B`` is ``${A.B}``."""


StackLoader.add_constructor("!Sub", lambda loader, node: node.value)
StackLoader.add_constructor("!Ref", lambda loader, node: f"${{{node.value}}}")
StackLoader.add_constructor("!GetAtt", lambda loader, node: f"${{{node.value}}}")


@pytest.fixture(scope="session")
def cluster() -> dict[str, Any]:
    """The content of the cluster file."""
    return yaml.safe_load((ROOT / "raycluster.yaml").read_text())


@pytest.fixture(scope="session")
def prepared(cluster: dict[str, Any]) -> dict[str, Any]:
    """The cluster file with Ray's defaults filled in, as ``ray up`` uses it."""
    return fillout_defaults(cluster)


@pytest.fixture(scope="session")
def stack() -> dict[str, Any]:
    """The resources of the CloudFormation stack."""
    return yaml.load((DEPLOY / "aws-stack.yaml").read_text(), StackLoader)["Resources"]


@pytest.fixture(scope="session")
def manifest() -> list[dict[str, Any]]:
    """The documents of the Kubernetes manifest."""
    return list(yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text()))


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    """The project's metadata."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def make_home(home: Path) -> Path:
    """Create a node's home folder as it is after its set-up, without programs in its environment."""
    (home / "unmask-env" / "bin").mkdir(parents=True)
    (home / "unmask-env" / "head_ip").write_text("10.0.0.7\n")
    (home / "unmask-env" / "mlflow_uri").write_text("http://10.0.0.7:5000\n")
    (home / "unmask").symlink_to(ROOT)
    (home / ".unmask").mkdir()
    (home / ".unmask" / "ray_token").write_text("a" * 64 + "\n")
    return home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node's home folder after its set-up, without programs in its environment."""
    return make_home(tmp_path / "home")


@pytest.fixture
def recorded(home: Path) -> Path:
    """The file in which this node's ``ray`` only records its arguments and environment."""
    calls = home / "calls"
    ray = home / "unmask-env" / "bin" / "ray"
    ray.write_text(f'#!/bin/bash\n{{ echo "ray $*"; env; echo; }} >>{calls}\n')
    ray.chmod(0o755)
    return calls
