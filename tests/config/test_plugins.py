"""Plug-ins: files that register methods, models and data sets, and what is stored about them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import torch

import jobs
from core.checkpoints.checkpoint import load_checkpoint
from core.command.request import SweepRequest, read_request
from core.config import Cell, plugins
from core.config.plugins import PluginError, load_plugin
from core.ledger.description import read_description
from core.ledger.ledger import Ledger
from core.ledger.plugins import use_stored_plugins
from core.models import build_model
from core.storage import Store
from jobs.sweep_trades import main
from tests.plugin_tables import printed_plugin

PRESETS = Path(jobs.__file__).parent / "presets"
MODEL = """\
from torch import nn

from core.config import ModelSpec, register_model


def linear(shape, norm):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape.channels * shape.image_size**2, shape.classes))


register_model(ModelSpec("linear", f"{__name__}:linear"))
"""
OPTIONS = ("--method", "squeezing", "--squeeze", "0.5", "--batch-size", "16")
NAMED = (*OPTIONS, "--name", "quick")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Callable[[], None]) -> Path:
    """The current folder, with the printed plug-in in ``my_method.py`` and a model in ``my_model.py``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_method.py").write_text(printed_plugin())
    (tmp_path / "my_model.py").write_text(MODEL)
    return tmp_path


def ask(*args: str) -> SweepRequest:
    return read_request(args, PRESETS, "")


def cell_of(request: SweepRequest) -> Cell:
    return request.sweep.entries[0].cell


def test_the_printed_plugin_has_twenty_lines_and_its_options(folder: Path) -> None:
    assert len([line for line in printed_plugin().splitlines() if line.strip()]) <= 20
    (found,) = cell_of(ask("--plugin", "my_method.py", *OPTIONS)).plugins
    assert cell_of(ask("--plugin", "my_method.py", *OPTIONS)).method.model_dump() == {
        "method": "squeezing",
        "squeeze": 0.5,
    }
    assert found.name == "my_method.py"


def test_help_shows_the_options_of_a_plugin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ask("--plugin", "my_method.py", "--help", "method")
    shown = capsys.readouterr().out
    assert "squeezing]" in " ".join(shown.split())
    assert re.search(r"--squeeze NUMBER .*squared logits; only for squeezing", " ".join(shown.split()))


def test_a_preset_names_plugins_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = "description: d\nseeds: 1\nplugins: [my_method.py]\ngrids: [{options: {method: squeezing, squeeze: 2}}]\n"
    (folder / "mine.yaml").write_text(preset)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert cell_of(ask("--preset", "../mine.yaml")).flat()["squeeze"] == 2


def test_only_cells_that_use_a_plugin_have_another_id(folder: Path, fresh: Callable[[], None]) -> None:
    plain = cell_of(ask("--method", "pgd-at")).id
    both = ask("--plugin", "my_method.py", "my_model.py", "--method", "pgd-at", "squeezing", "--model", "linear")
    assert [len(entry.cell.plugins) for entry in both.sweep.entries] == [1, 1, 2, 2]
    with_plugin = ask("--plugin", "my_method.py", "--method", "pgd-at", "squeezing")
    assert [entry.cell.id == plain for entry in with_plugin.sweep.entries].count(True) == 1
    before = cell_of(ask("--plugin", "my_method.py", *OPTIONS)).id
    fresh()
    assert cell_of(ask("--plugin", "my_method.py", *OPTIONS)).id == before
    fresh()
    (folder / "my_method.py").write_text(printed_plugin() + "# other content\n")
    assert cell_of(ask("--plugin", "my_method.py", *OPTIONS)).id != before


def test_the_sweep_stores_the_file_and_refuses_another_version(folder: Path, fresh: Callable[[], None]) -> None:
    request = ask("--plugin", "my_method.py", *NAMED)
    store = Store(str(folder / "results")).child("quick")
    Ledger(store, "quick").enter(request.sweep)
    assert (folder / "results/quick/plugins/my_method.py").read_text() == printed_plugin()
    fresh()
    (folder / "my_method.py").write_text(printed_plugin() + "# other content\n")
    changed = ask("--plugin", "my_method.py", *NAMED)
    for step in (Ledger(store, "quick").continued, Ledger(store, "quick").enter):
        with pytest.raises(
            ValueError, match=r"--name quick: .*\n  plug-in my_method.py: version .* stored \(its file: "
        ):
            step(changed.sweep)
    fresh()
    copy = ask("--plugin", "results/quick/plugins/my_method.py", *NAMED)
    assert Ledger(store, "quick").continued(copy.sweep).entries[0].cell.id == cell_of(request).id


def test_a_stored_sweep_brings_its_plugins(folder: Path, fresh: Callable[[], None]) -> None:
    stored = cell_of(ask("--plugin", "my_method.py", "my_model.py", "--model", "linear", *NAMED))
    store = Store(str(folder / "results")).child("quick")
    Ledger(store, "quick").enter(
        ask("--plugin", "my_method.py", "my_model.py", "--model", "linear", *NAMED, "--seeds", "1").sweep
    )
    network = build_model(stored.model, stored.data.shape, seed=0)
    torch.save(
        {"cell": stored.flat(), "seed": 0, "epoch": 1, "model": network.state_dict()},
        folder / "results/quick/selected.pt",
    )
    fresh()
    with pytest.raises(PluginError, match=r"selected.pt: plug-in my_method.py@\w{12} is needed, and it is not loaded"):
        load_checkpoint(store, "selected.pt")
    description = read_description(store)
    assert description is not None
    use_stored_plugins(store, description)
    assert load_checkpoint(store, "selected.pt").cell.id == stored.id
    (folder / "results/quick/plugins/my_method.py").unlink()
    with pytest.raises(ValueError, match="quick was trained with this plug-in"):
        use_stored_plugins(store, description)
    (folder / "results/quick/plugins/my_method.py").write_text("changed")
    with pytest.raises(ValueError, match=r"my_method.py was changed: its version is"):
        use_stored_plugins(store, description)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = (", r"line 1: SyntaxError: '\(' was never closed"),
        ("\nimport no_such_module", "line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1", "registers nothing: it must call register_method, register_model or register_dataset"),
        ("raise SystemExit(0)", "line 1: SystemExit: 0"),
        ("", "is empty"),
        (printed_plugin().replace('"squeezing"', '"trades"'), "ValueError: method trades exists already"),
        (
            printed_plugin().replace("squeeze:", "epsilon:"),
            "option epsilon of method squeezing exists already, in part",
        ),
        (printed_plugin().replace("squeeze:", "plugins:"), "option plugins of method squeezing exists already"),
        (
            printed_plugin().replace(":Squeezing", ":Squeezed"),
            "method squeezing names .*:Squeezed, which does not exist",
        ),
        (printed_plugin().replace("objective_passes", "passes"), "SqueezingOptions does not define objective_passes"),
        (
            printed_plugin().replace("def objective(", "def loss("),
            "method squeezing names .*:Squeezing, which does not define objective",
        ),
        (
            printed_plugin().replace("    def objective_p", '    fixed = frozenset({"inner"})\n\n    def objective_p'),
            "method squeezing fixes options that part_defaults lacks: inner",
        ),
        (MODEL.replace('"linear"', '"resnet18"'), "model resnet18 is registered already"),
    ],
)
def test_a_broken_plugin_is_one_line_and_exit_code_2(
    folder: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text(content)
    assert main(["--plugin", "broken.py", "--dry-run"]) == 2
    printed = capsys.readouterr().err
    assert re.search(rf"--plugin broken.py: plug-in broken.py:? .*{message}|--plugin broken.py: .*{message}", printed)
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--plugin", "nowhere.py"), "--plugin nowhere.py: plug-in nowhere.py can't be read: No such file"),
        (("--plugin", "nothing"), "neither a path that ends with .py nor an installed plug-in; installed on .*: none"),
        (("--plugin", "my_method.py"), "no cell of this sweep uses what it registers: method squeezing"),
        (("--plugin", "my method.py"), "must be letters, digits, _ or -, and .py"),
        (("--method", "squeezing"), "--method squeezing: must be one of trades"),
        (("--plugin", "my_method.py", *OPTIONS, "--beta", "1"), "beta is impossible with method squeezing"),
        (("--plugin", "my_method.py", *OPTIONS[:2], "--squeeze", "-1"), "--squeeze -1: must be at least 0"),
    ],
)
def test_wrong_words_about_plugins(folder: Path, words: tuple[str, ...], message: str) -> None:
    (folder / "my method.py").write_text(printed_plugin())
    with pytest.raises(ValueError, match=message):
        ask(*words)


@pytest.mark.parametrize("flag", ["square", "seeds", "storage"])
def test_an_option_with_the_name_of_another_flag_is_refused(folder: Path, flag: str) -> None:
    (folder / "shadow.py").write_text(printed_plugin().replace("squeeze:", f"{flag}:"))
    with pytest.raises(ValueError, match=f"option {flag} of method squeezing has the name of another flag"):
        ask("--plugin", "shadow.py", *OPTIONS[:2])


def test_two_files_of_one_name_are_refused(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "my_method.py").write_text(MODEL)
    with pytest.raises(ValueError, match=r"--plugin other/my_method.py: plug-in my_method.py is loaded in version"):
        ask("--plugin", "my_method.py", "other/my_method.py")


def test_an_installed_package_is_a_plugin(
    folder: Path, fresh: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = folder / "site"
    (site / "my_package").mkdir(parents=True)
    (site / "my_package" / "__init__.py").write_text(printed_plugin())
    (site / "my_package-1.dist-info").mkdir()
    (site / "my_package-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    (site / "my_package-1.dist-info" / "entry_points.txt").write_text("[unmask.plugins]\nsqueezing = my_package\n")
    monkeypatch.syspath_prepend(site)
    assert "squeezing" in metadata.entry_points(group="unmask.plugins").names
    request = ask("--plugin", "squeezing", *OPTIONS)
    (plugin,) = cell_of(request).plugins
    assert (plugin.name, plugin.source) == ("squeezing", "")
    store = Store(str(folder / "results")).child("quick")
    Ledger(store, "quick").enter(request.sweep)
    assert json.loads((folder / "results/quick/sweep.json").read_text())["plugins"] == {"squeezing": plugin.version}
    assert not (folder / "results/quick/plugins").exists()
    (site / "my_package" / "helpers.py").write_text("")
    fresh()
    with pytest.raises(PluginError, match=f"in version .*, not {plugin.version}: install the same package on every"):
        plugins.use_plugin(plugin)


def test_a_plugin_is_loaded_once(folder: Path) -> None:
    assert load_plugin("my_model.py") == load_plugin("./my_model.py")
