"""The check of a network of any origin, against networks whose robustness is known in closed form."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
import torch

from analysis.questions.masking import masking
from analysis.report.check_sentence import check_notes, check_sentence
from core.check.first_bytes import require_weights
from core.check.measurement import check_network
from core.check.network import load_network
from core.check.options import CheckOptions, NetworkOptions
from core.config import Cell, Shape
from core.data.image_set import ImageSet
from core.records import ModelCheck
from jobs.check import main
from tests.check.models import Linear, Noisy, Staircase, build

DIGITS = Shape(10, 1, 8)


def checked(model: torch.nn.Module, levels: list[int], epsilon: float) -> ModelCheck:
    """The check of a network on grey images of these levels (0 to 255), all of class 0."""
    images = torch.stack([torch.full((1, 8, 8), level, dtype=torch.uint8) for level in levels])
    cell = Cell.from_flat({"dataset": "digits", "epsilon": epsilon})
    options = CheckOptions(auto_attack=False)
    labels = torch.zeros(len(levels), dtype=torch.int64)
    return check_network(model, ImageSet(images, labels), cell, options, print, origin="a test")[0]


def test_attacks_find_what_a_linear_network_has() -> None:
    """A grey image of level g is class 0 while g / 255 - epsilon stays above 0.5: all attacks are equally strong."""
    levels = [90, 120, 140, 150, 160, 200, 230, 255]
    found = checked(Linear(), levels, 0.1)
    assert found.accuracy("clean") == 6 / 8
    for attack in ("fgsm", "pgd-10", "pgd-50x5", "square"):
        assert found.accuracy(attack) == 4 / 8
    assert masking(found).kind == "confirmed"
    assert (found.early_peaks, found.landscapes, found.zero_gradients) == (0, 8, 0)
    # the attack ends at the corner of its ball, where FOSC is 0 by definition; its steps agree
    assert found.fosc == pytest.approx(0, abs=1e-6)
    assert found.sgcs == pytest.approx(1)
    assert "is not an illusion by these attacks: on 8 test images of digits at radius 0.1, PGD-10 leaves 50.0 %" in (
        check_sentence(found)
    )


def test_a_network_without_gradients_is_masked() -> None:
    """Gradient attacks stay at their random starts, whose mean hardly changes. Square needs no gradient."""
    found = checked(Staircase(), [160, 170, 180, 190] * 4, 0.4)
    assert (found.accuracy("clean"), found.accuracy("pgd-50x5"), found.accuracy("square")) == (1, 1, 0)
    assert masking(found).kind == "masked"
    assert found.zero_gradients == 1
    assert any("no gradient in float32" in note for note in check_notes(found))


def test_a_random_network_is_pointed_out() -> None:
    found = checked(Noisy(), [200, 210], 0.1)
    assert not found.repeatable
    assert any("differently each time" in note for note in check_notes(found))


def test_accuracies_equal_those_of_the_verdict(tmp_path: Path) -> None:
    """The check wraps any network, and the verdict folds its own: both attack by the same code."""
    from core.attacks import build_attack, robust_accuracy
    from core.data.load import load_dataset
    from core.evaluation.blocks import block_seed

    cell = Cell.from_flat({"dataset": "digits", "epsilon": 0.02})
    test = load_dataset(cell.data, "none").test.take(torch.arange(60))
    model = build().eval()
    found, _ = check_network(model, test, cell, CheckOptions(auto_attack=False, block=100), print, origin="a test")
    for name in ("fgsm", "pgd-10", "square"):
        expected = robust_accuracy(model, build_attack(name, 0.02), test.images, test.labels, block_seed(0, 0))
        assert found.accuracy(name) == pytest.approx(expected, abs=0.04)


def weights_of(loaded: torch.nn.Module) -> list[float]:
    return [float(parameter.double().sum()) for parameter in loaded.parameters()]


def test_every_kind_of_file_gives_the_same_network(tmp_path: Path) -> None:
    model = build().eval()
    state, x = model.state_dict(), torch.rand(5, 1, 8, 8)
    forms = {
        "plain": state,
        "pickle": state,  # as torch wrote before 1.6
        "nested": {"epoch": 3, "state_dict": state},
        "parallel": {f"module.{name}": value for name, value in state.items()},
    }
    for name, content in forms.items():
        torch.save(content, tmp_path / f"{name}.pt", _use_new_zipfile_serialization=name != "pickle")
        require_weights(str(tmp_path / f"{name}.pt"), "small-cnn")
        for builder in ("tests.check.models:build", "small-cnn"):
            options = NetworkOptions(weights=str(tmp_path / f"{name}.pt"), model=builder)
            assert torch.equal(load_network(options, "digits", DIGITS).model(x), model(x))
    scripted = str(tmp_path / "scripted.pt")
    torch.jit.script(model).save(scripted)
    require_weights(scripted, None)
    assert torch.equal(load_network(NetworkOptions(weights=scripted), "digits", DIGITS).model(x), model(x))
    frozen = torch.jit.freeze(torch.jit.script(model))
    frozen.save(scripted)
    loaded = load_network(NetworkOptions(weights=scripted), "digits", DIGITS).model
    assert list(loaded.parameters()) == []
    images = ImageSet((255 * x).to(torch.uint8), torch.arange(5))
    cell = Cell.from_flat({"dataset": "digits", "epsilon": 0.1})
    check_network(loaded, images, cell, CheckOptions(auto_attack=False), print, origin="frozen")


def test_a_model_of_robustbench_is_loaded_by_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is not installed here; a module with its function stands for it."""
    asked = {}
    utils = types.ModuleType("robustbench.utils")
    utils.load_model = lambda **given: asked.update(given) or build()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "robustbench", types.ModuleType("robustbench"))
    monkeypatch.setitem(sys.modules, "robustbench.utils", utils)
    found = load_network(NetworkOptions(robustbench="Engstrom2019Robustness"), "cifar10", Shape(10, 3, 32))
    assert asked == {"model_name": "Engstrom2019Robustness", "dataset": "cifar10", "threat_model": "Linf"}
    assert not found.model.training


def test_the_job_prints_the_answer_and_writes_what_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(build().state_dict(), "my.pt")
    Path("my_module.py").write_text("from tests.check.models import build\n")
    line = "--weights my.pt --model my_module:build --dataset digits --epsilon 8/255 --images 20 --no-auto-attack"
    assert main([*line.split(), "--json", "check.json", "--figure", "check.png"]) == 0
    printed = capsys.readouterr().out
    assert "on 20 test images of digits at radius 8/255" in " ".join(printed.split())
    assert "clean accuracy is near chance" in printed
    stored = json.loads(Path("check.json").read_text())
    assert len(stored["correct"]["square"]) == 20
    assert Path("check.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", ["--weights", "--robustbench"]),
        ("--weights missing.pt --dataset digits --epsilon 0.1", ["--weights missing.pt"]),
        ("--weights my.pt --dataset digits --epsilon 0.1", ["--weights my.pt", "--model"]),
        ("--weights text.pt --dataset digits --epsilon 0.1", ["--weights text.pt: is neither", "--model"]),
        ("--weights text.pt --model resnet18 --dataset digits --epsilon 0.1", ["--weights text.pt: torch.load"]),
        ("--weights my.pt --model nowhere:build --dataset digits --epsilon 0.1", ["--model nowhere:build"]),
        ("--weights my.pt --model resnet18 --dataset digits --epsilon 0.1", ["--weights my.pt", "resnet18"]),
        ("--weights my.pt --model resnet19 --dataset digits --epsilon 0.1", ["--model resnet19", "wrn-N-K"]),
        ("--weights my.pt --model tests.check.models:not_a_module --dataset digits --epsilon 1", ["returned int"]),
        ("--weights my.pt --model tests.check.models:build --epsilon 0.1", ["--dataset"]),
        ("--weights my.pt --model tests.check.models:build --dataset digits", ["--epsilon"]),
        ("--weights my.pt --model tests.check.models:build --dataset mnist --epsilon 0.1", ["--dataset mnist"]),
        ("--weights my.pt --model small-cnn --robustbench X", ["--weights", "--robustbench"]),
        ("--robustbench X --model small-cnn --dataset cifar10 --epsilon 8/255", ["--model small-cnn"]),
        ("--robustbench X --dataset cifar10 --epsilon 8/255", ["--robustbench X", "robustbench"]),
        ("--weights my.pt --dataset digits --epsilon 0.1 --figure a.jpg", ["--figure a.jpg"]),
    ],
)
def test_what_cannot_be_is_one_line(
    line: str, named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(build().state_dict(), "my.pt")
    Path("text.pt").write_text("no network")
    assert main(line.split()) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for text in named:
        assert text in message
