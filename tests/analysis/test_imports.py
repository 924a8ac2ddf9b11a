"""What `analysis` may know: no Ray, no MLflow, no training; its statistics know no records."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import analysis
import analysis.statistics

CORE_ROOMS = {"records", "config", "verdict", "allocation"}


def imported(file: Path) -> set[str]:
    """Names of the modules that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_statistics_know_numbers_alone() -> None:
    for file in Path(analysis.statistics.__file__).parent.glob("*.py"):
        own = {name for name in imported(file) if name.split(".")[0] in ("core", "analysis", "jobs")}
        assert all(name.startswith("analysis.statistics") for name in own), (file.name, own)


def test_analysis_imports_few_rooms_of_core_and_no_job() -> None:
    for file in Path(analysis.__file__).parent.rglob("*.py"):
        names = {name.split(".")[0]: name for name in imported(file)}
        assert "jobs" not in names, file
        rooms = {name.split(".")[1] for name in imported(file) if name.startswith("core.")}
        assert rooms <= CORE_ROOMS, (file, rooms)


def test_no_module_loads_ray_torch_or_mlflow() -> None:
    modules = [m.name for m in pkgutil.walk_packages(analysis.__path__, "analysis.")]
    code = f"import sys, {', '.join(modules)}\nprint(sys.modules.keys() & {{'ray', 'torch', 'mlflow'}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
