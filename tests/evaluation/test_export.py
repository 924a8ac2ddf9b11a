"""An exported checkpoint is whole: other Python processes load it without this project."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analysis.questions.rates import trial_names
from core.checkpoints.checkpoint import Checkpoint
from core.config import ModelOptions, Shape
from core.data.image_set import to_float
from core.export.folder import export_checkpoint
from core.export.network_source import builder_of, network_files
from core.models import build_model
from core.records import Evidence, Measured, Measurement
from jobs.export import main

from .conftest import TinySweep

SCRIPT = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from load_model import load_model
torch.set_num_threads(1)
model = load_model()
assert not model.training
torch.save(model(torch.load(sys.argv[2])), sys.argv[3])
assert not [name for name in sys.modules if name.split(".")[0] in ("core", "analysis", "jobs")]
"""


def logits_elsewhere(folder: Path, x: torch.Tensor) -> torch.Tensor:
    """The logits of an exported network, in a process that cannot import this project."""
    torch.save(x, folder.parent / "x.pt")
    paths = [str(folder), str(folder.parent / "x.pt"), str(folder.parent / "logits.pt")]
    done = subprocess.run([sys.executable, "-I", "-c", SCRIPT, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return torch.load(paths[2])


def test_the_command_writes_a_network_with_the_same_logits(
    trained: TinySweep, checkpoint: Checkpoint, tmp_path: Path, digits: object
) -> None:
    record = trained.records[0]
    out = tmp_path / "mine"
    flags = ["--sweep", "tiny", "--trial", record.key, "--out", str(out), "--storage", trained.storage]
    assert main(flags) == 0
    x = to_float(digits.test.images[:40])
    with torch.no_grad():
        torch.testing.assert_close(logits_elsewhere(out, x), checkpoint.model(x), rtol=1e-5, atol=1e-5)
    card = json.loads((out / "card.json").read_text())
    assert record.verdict is not None
    assert card["verdict"]["outcome"] == record.verdict.outcome
    assert card["cell"] == record.cell
    assert card["provenance"] == record.provenance
    selected = next(e for e in record.verdict.evidence if e.checkpoint == "selected")
    # Other tests may have evaluated the trial before; the rows of the verdict come first.
    of_verdict = card["accuracies"][: len(selected.measurements)]
    assert [row["accuracy"] for row in of_verdict] == [m.accuracy for m in selected.measurements]
    assert of_verdict[-1]["queries"] == 5
    text = (out / "README.md").read_text()
    assert f"Verdict: {record.verdict.outcome}" in text
    assert f"| epsilon | {CELL_EPSILON} |" in text
    assert main(flags) == 2, "an existing folder is not overwritten"


CELL_EPSILON = 0.12


def test_a_trial_may_be_given_by_its_name(
    trained: TinySweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    record = trained.records[-1]
    name = trial_names(trained.records).of(record)
    assert main(["--sweep", "tiny", "--trial", "seed=99", "--storage", trained.storage]) == 2
    assert name in capsys.readouterr().err
    assert main(["--sweep", "tiny", "--trial", name, "--storage", trained.storage]) == 0
    card = json.loads((tmp_path / f"export-{record.key}-selected" / "card.json").read_text())
    assert card["cell"] == record.cell


def test_the_card_has_evaluations_and_measures_of_its_checkpoint_only(trained: TinySweep, tmp_path: Path) -> None:
    record = trained.records[0]
    one = Measurement(attack="autoattack", accuracy=0.25, steps=100, images=360, split="test", epsilon=0.12)
    evaluations = tuple(
        Evidence(checkpoint=name, epoch=1, measurements=(replace(one, accuracy=accuracy),))
        for name, accuracy in (("selected", 0.25), ("last", 0.75))
    )
    common = {"measure": "margin", "epoch": 1, "split": "train", "images": 9, "epsilon": 0.12, "block": 3, "seed": 0}
    measures = tuple(
        Measured.model_validate({**common, "checkpoint": name, "values": {"mean": mean, "sd": None}})
        for name, mean in (("selected", 1.5), ("last", 9.5))
    )
    more = record.model_copy(update={"evaluations": evaluations, "measures": measures})
    export_checkpoint(more, "selected", trained.ledger.trial_store(record.key), tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| autoattack | 0.25 | evaluation | 100 |" in text
    assert "| margin | mean | 1.5 | 9 train |" in text
    assert "0.75" not in text
    assert "9.5" not in text


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        *(
            pytest.param(*network, marks=pytest.mark.slow)
            for network in (("resnet18", "batch"), ("preact-resnet18", "none"), ("wrn-10-1", "batch"))
        ),
        ("small-cnn", "none"),
    ],
)
def test_every_network_is_built_from_its_own_files(name: str, norm: str, tmp_path: Path) -> None:
    options = ModelOptions.model_validate({"model": name, "norm": norm})
    folder = tmp_path / "network"
    folder.mkdir()
    files = network_files(options)
    assert not any("core" in line for source in files.values() for line in source.splitlines() if "import" in line)
    for file, source in files.items():
        (folder / file).write_text(source)
    _, function, numbers = builder_of(options)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import network; "
        f"model = network.{function}(*{numbers}, network.Shape(7, 3, 16), {norm!r}); "
        "print(sorted((k, tuple(v.shape)) for k, v in model.state_dict().items()))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    built = build_model(options, Shape(7, 3, 16), seed=0)
    assert done.stdout.strip() == str(sorted((k, tuple(v.shape)) for k, v in built.state_dict().items()))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--sweep"),
        (["--sweep", "tiny"], "--trial"),
        (["--sweep", "tiny", "--trial", "nix"], "--trial nix: sweep tiny has no such finished trial; it has"),
        (["--sweep", "nix", "--trial", "x"], "--sweep nix: there is no such sweep"),
        (["--sweep", "tiny", "--trial", "KEY", "--which", "best"], "--which best: must be selected, gated or last"),
    ],
)
def test_bad_input_is_one_clear_line(
    trained: TinySweep, capsys: pytest.CaptureFixture[str], flags: list[str], message: str, tmp_path: Path
) -> None:
    import re

    named = [trained.records[0].key if flag == "KEY" else flag for flag in flags]
    assert main([*named, "--storage", trained.storage, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(message, error), error


def test_a_checkpoint_that_a_trial_does_not_have(trained: TinySweep, tmp_path: Path) -> None:
    record = trained.records[0].model_copy(update={"checkpoints": {"last.pt": "0" * 64}})
    with pytest.raises(ValueError, match=r"--which selected: trial .* has no such checkpoint; it has last"):
        export_checkpoint(record, "selected", trained.ledger.trial_store(record.key), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_of_a_plugin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.config.models import MODELS, ModelSpec

    monkeypatch.setitem(MODELS, "mine", ModelSpec("mine", "my_plugin:build"))
    with pytest.raises(ValueError, match="model mine comes from a plug-in"):
        builder_of(ModelOptions.model_validate({"model": "mine"}))
