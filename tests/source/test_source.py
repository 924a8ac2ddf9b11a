"""Commit and source tree, compared with git."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from core.source.commit import described_commit
from core.source.tree import tree_id
from core.source.version import version_beside

CHECKOUT = Path(__file__).parents[2]


def git(folder: Path, *command: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *identity, *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository whose names git does not sort alphabetically: the folder ``a`` is after ``a.py``."""
    folder = tmp_path / "checkout"
    for name in ("core/a.py", "core/a/b.py", "core/a-b.py", "core/a0/c.yaml", "core/ü.py", "other.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 7)
    git(tmp_path, "init", "-q", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "x")
    return folder


def test_the_tree_is_git_s(checkout: Path) -> None:
    committed = git(checkout, "rev-parse", "HEAD:core")
    for leftover in ("core/__pycache__/a.cpython-311.pyc", "core/a/__pycache__/b.pyc", "core/gone/__pycache__/c.pyc"):
        (checkout / leftover).parent.mkdir(parents=True)
        (checkout / leftover).write_bytes(b"compiled")
    assert tree_id(checkout / "core") == committed
    (checkout / "core/a/b.py").write_text("another")
    assert tree_id(checkout / "core") != committed


def test_a_commit_is_told_only_by_the_checkout_that_the_file_is_of(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "--short=12", "HEAD")
    assert described_commit(checkout / "core/a.py") == commit
    (checkout / "other.py").write_text("changed")
    assert described_commit(checkout / "core/a.py") == f"{commit}-dirty"
    installed = checkout / "venv/core.py"
    installed.parent.mkdir()
    installed.write_text("somebody else's")
    assert described_commit(installed) is None


def test_our_version_is_that_of_the_code_beside_it(tmp_path: Path) -> None:
    ours = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert version_beside(CHECKOUT) == ours
    assert version_beside(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "9"\n')
    assert version_beside(tmp_path) is None


class WorkingDirectory:
    """A copy of the code without history, like that of a Ray job."""

    SCRIPT = "from core.source import *; print(git_commit(), code_version())"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(CHECKOUT / "core", folder / "core", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(CHECKOUT / "pyproject.toml", folder)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", "-c", self.SCRIPT]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)


def test_a_working_directory_is_told_by_the_environment_or_its_files(tmp_path: Path) -> None:
    job = WorkingDirectory(tmp_path)
    assert job.run(UNMASK_COMMIT="543adb562c98-dirty").stdout.startswith("543adb562c98-dirty unmask ")
    commit, _, version = job.run().stdout.split()
    tree = tree_id(tmp_path / "core")[:12]
    assert commit == f"core-tree-{tree}"
    assert version.endswith(f"+core.{tree}")
    with (tmp_path / "core/source/commit.py").open("a") as file:
        file.write("# changed\n")
    assert job.run().stdout.split()[0] not in (commit, "")
    refused = job.run(UNMASK_COMMIT="no; commit")
    assert refused.returncode == 1
    assert "UNMASK_COMMIT='no; commit' must match" in refused.stderr
