"""The rows for one device, where neither Ray nor MLflow can be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import METHODS, Cell
from jobs import device_benchmark
from jobs.speed.device import bench as bench_module
from jobs.speed.device import resume, runs, subjects
from jobs.speed.device.bench import Bench, row_file
from jobs.speed.device.peak import peak_tflops
from jobs.speed.device.rows import ROWS, function
from jobs.speed.device.sizes import ROBUST_SMALL, Sizes, sizes_for
from jobs.speed.device.subjects import resnet_cell
from jobs.speed.device.table import table
from jobs.speed.device.timing import pace_of

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
LEFT_OUT = ("ray", "mlflow", "torchvision", "sklearn", "scipy", "boto3", "pandas", "psutil", "PIL", "matplotlib")
"""Packages of the project that the machine of the rows need not have."""


def tiny(sizes: Sizes) -> Sizes:
    return replace(
        sizes,
        batches=(2,),
        precisions=("fp32", "bf16"),
        seconds=0.01,
        robust={**ROBUST_SMALL, "train_images": 164, "validation_images": 100, "test_images": 20},
        train_seconds=0.1,
        judged=8,
        queries=5,
        block=2,
        resumed={"classes": 2, "image_size": 8, "train_images": 16, "validation_images": 10, "batch_size": 2},
        product=64,
        packed=(1, 2),
        packed_seconds=0.2,
    )


@pytest.fixture
def make_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    small = tiny(sizes_for(CPU))
    monkeypatch.setattr(bench_module, "sizes_for", lambda device: small)
    for module in (resume, subjects):
        monkeypatch.setattr(module, "RESNET", {**module.RESNET, "image_size": 8, "attack_steps": 1})
    return lambda row, seconds=3600.0: Bench(row, CPU, tmp_path, seconds)


def entries(folder: Path, row: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(row_file(folder, "cpu", row).read_text())["entries"]
    return found


@pytest.mark.slow
def test_a_row_runs_where_ray_and_mlflow_are_not_installed(tmp_path: Path) -> None:
    """All rows are imported, and one is measured through the command."""
    (tmp_path / "sitecustomize.py").write_text(f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LEFT_OUT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
""")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    code = "from jobs.speed.device.rows import ROWS, function; print([function(name).__name__ for name in ROWS])"
    imported = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert imported.returncode == 0, imported.stderr
    command = [sys.executable, str(ROOT / "jobs" / "device_benchmark.py"), "--out", str(tmp_path / "out")]
    command += ["--only", "float32", "--device", "cpu", "--minutes", "5"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "relative error of a convolution, IEEE float32" in " ".join(done.stdout.split())
    assert all(entry["value"] < 1e-5 for entry in entries(tmp_path / "out", "float32") if "error" in entry["what"])


@pytest.mark.slow
@pytest.mark.parametrize("row", [name for name in ROWS if name not in ("step-graph", "step-compiled", "attack")])
def test_a_row_measures_and_has_no_error(
    row: str, make_bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "VARIANTS", {name: runs.VARIANTS[name] for name in ("fp32", "bf16", "AWP")})
    monkeypatch.setattr(runs, "METHODS", ["trades", "las-at", "free"])
    measured = make_bench(row)
    function(row)(measured)
    measured.finish()
    found = entries(tmp_path, row)
    assert len(found) > 0
    assert [entry for entry in found if "error" in entry] == []
    if row == "resume":
        trainings = [entry for entry in found if "price" not in entry["what"]]
        assert len(trainings) == 3
        assert all(entry["value"] == 1 and entry["repeated"] for entry in trainings)
    if row == "runs":
        assert all(entry["value"] == 0 for entry in found if entry["unit"] != "s"), "a CPU has the losses of a CPU"


def test_every_variant_and_method_is_a_cell() -> None:
    cells = [Cell.from_flat(options) for options in runs.options_of_all().values()]
    assert {cell.method.method for cell in cells} == set(METHODS)
    assert {cell.training.precision for cell in cells} == {"fp32", "tf32", "bf16", "fp16"}


def test_what_a_device_cannot_do_is_an_entry_and_the_row_goes_on(make_bench: Any, tmp_path: Path) -> None:
    measured = make_bench("step")

    def fails() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory\nmore")

    measured.attempt("too large", fails, batch=4096)
    measured.attempt("too slow", fails, needs=1e6)
    measured.add("works", 1.5, "s")
    too_large, too_slow, works = entries(tmp_path, "step")
    assert too_large["error"] == "OutOfMemoryError: CUDA out of memory"
    assert too_large["batch"] == 4096
    assert too_slow["error"].startswith("left out")
    assert works["value"] == 1.5


@pytest.mark.slow
def test_a_row_that_is_cut_off_keeps_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends a row at the limit, with the processes that the row has started."""
    code = f"""
import subprocess, sys, time
from pathlib import Path
import torch
from jobs.speed.device.bench import Bench
Bench(sys.argv[1], torch.device("cpu"), Path(sys.argv[3]), 60).add("first", 1.0, "s")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
Path({str(tmp_path)!r}, "child").write_text(str(child.pid))
time.sleep(300)
"""
    script = tmp_path / "row.py"
    script.write_text(code)
    monkeypatch.setattr(device_benchmark, "MODULE", [str(script)])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    console = device_benchmark.Console()
    assert not device_benchmark.run_row("step", "cpu", tmp_path, 20.0, console)
    assert [entry["what"] for entry in entries(tmp_path, "step")] == ["first"]
    assert not json.loads(row_file(tmp_path, "cpu", "step").read_text())["finished"]
    status = Path("/proc", (tmp_path / "child").read_text(), "status")
    assert not status.exists() or "zombie" in status.read_text()


def test_the_table_has_a_column_per_device(make_bench: Any, tmp_path: Path) -> None:
    measured = make_bench("step")
    measured.add("step", 2.0, "TFLOP/s", batch=8)
    measured.add("step", 3.0, "TFLOP/s", batch=16)
    content = json.loads(row_file(tmp_path, "cpu", "step").read_text())
    content["entries"][0] |= {"value": 400.0, "batch": 128, "mfu": 0.4}
    row_file(tmp_path, "cuda", "step").write_text(json.dumps(content))
    made = table(tmp_path)
    cells = [list(column.cells) for column in made.columns]
    assert [str(column.header)[:5] for column in made.columns[2:]] == ["cuda:", "cpu: "]
    assert cells[2][0] == "400 TFLOP/s; batch 128; mfu 0.4"
    assert cells[3] == ["2 TFLOP/s; batch 8", "3 TFLOP/s; batch 16"]


def test_a_gpu_is_measured_at_the_papers_sizes() -> None:
    sizes = sizes_for(torch.device("cuda"))
    assert sizes.batches == (128, 256, 512, 1024)
    assert set(sizes.precisions) == {"bf16", "tf32", "fp16", "fp32"}
    assert resnet_cell(batch_size=1024).data.kept_images == 1024


def test_time_per_call_is_a_median_of_whole_repeats() -> None:
    calls: list[int] = []
    pace = pace_of(lambda: calls.append(1), CPU, 0.01)
    assert pace.low <= pace.seconds <= pace.high
    assert pace.issued <= pace.seconds
    assert len(calls) > 5


def test_the_rate_of_a_gpu_is_found_by_its_name() -> None:
    assert peak_tflops("NVIDIA H200", "bf16") == 989
    assert peak_tflops("NVIDIA L40S", "bf16") == 362
    assert peak_tflops("NVIDIA L4", "bf16") == 121
    assert peak_tflops("an unknown GPU", "bf16") is None


@pytest.mark.parametrize(
    "args",
    [
        ["--only", "no-such-row"],
        ["--minutes", "0"],
        ["--minutes", "many"],
        ["--device", "tpu"],
        ["--out", str(Path(__file__))],
    ],
)
def test_bad_options_end_with_code_2(args: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = [] if "--out" in args else ["--out", str(tmp_path)]
    assert device_benchmark.main([*out, *args]) == 2
    assert args[0] in capsys.readouterr().err
