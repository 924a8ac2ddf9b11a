"""Presets of users. Any YAML gives a dry run of its content, or a message that names the file."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import jobs
from core.config import Sweep, build_sweep, load_preset
from core.config.methods.registry import lacks
from jobs.sweep_trades import main
from tests.bad_input.harness import JARGON, assert_refused, cases, mentions, run, snapshot
from tests.bad_input.strategies import CELL_OPTIONS, JSON, PROTOCOL_OPTIONS, OptionCase, changed_json, damaged, needed

PRESETS = Path(jobs.__file__).parent / "presets"
QUICK_OPTIONS = [option for option in CELL_OPTIONS if option.method in (None, "trades") and option.name != "method"]
"""Options that a cell of the preset fields-quick may have. A flag for the method drops the preset's attack."""
QUICK = yaml.safe_load((PRESETS / "fields-quick.yaml").read_text())


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    yield path
    assert set(snapshot(tmp_path)) <= {"mine.yaml"}


def load(path: Path) -> Sweep | str:
    """The sweep of a preset, or the error message."""
    try:
        preset = load_preset(str(path), PRESETS)
        return build_sweep(preset, preset_name="mine", name="mine", cell_overrides={}, protocol_overrides={})
    except ValidationError:  # It is a ValueError, but its message is not for users.
        raise
    except ValueError as error:
        return str(error)


def assert_clear(complaint: str) -> None:
    assert not [word for word in JARGON if word.lower() in complaint.lower()], complaint
    assert 10 < len(complaint) < 3000, complaint


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "must be a mapping"),
    "a list": (b"- a\n- b\n", "must be a mapping"),
    "a word": (b"quick\n", "must be a mapping"),
    "tabs": (b"description: x\n\tgrids: []\n", "not valid YAML"),
    "binary": (bytes(range(256)), "not valid YAML"),
    "latin-1": ("description: n\u00e4h\n".encode("latin-1"), "not valid YAML"),
    "utf-16": (yaml.safe_dump(QUICK).encode("utf-16"), "not valid YAML"),
    "two documents": (b"a: 1\n---\nb: 2\n", "not valid YAML"),
    "a key twice": (yaml.safe_dump(QUICK).encode() + b"seeds: 9\n", "'seeds' is there twice"),
    "an option twice": (
        b"description: x\nseeds: 1\ngrids:\n- options:\n    beta: 1\n    lr: 0.1\n    beta: 6\n",
        "'beta' is there twice",
    ),
    "an alias": (b"description: &d x\nseeds: 1\ngrids: [{options: {model: *d}}]\n", "aliases"),
    "an alias bomb": (
        b"a: &a [x, x, x, x, x, x, x, x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 8)) for c in range(ord("b"), ord("q"))),
        "aliases",
    ),
    "an alias of itself": (b"&a grids: *a\n", "aliases"),
    "python objects": (b"description: !!python/object/apply:os.system ['touch hacked']\n", "not valid YAML"),
    "a date": (b"description: x\nseeds: 2020-13-45\ngrids: []\n", "2020-13-45"),
    "deep": (b"[" * 3000 + b"]" * 3000, "nested too deeply"),
    "huge": (b"description: " + b"x" * 2_000_000, "larger than"),
    "no grids": (b"description: x\nseeds: 1\ngrids: []\n", "must be a list of 1 or more"),
    "no seeds": (b"description: x\ngrids: [{options: {beta: 1}}]\n", "seeds"),
    "an unknown option": (b"description: x\nseeds: 1\ngrids: [{options: {betta: 1}}]\n", "did you mean 'beta'"),
    "an unknown protocol option": (
        b"description: x\nseeds: 1\nprotocol: {evil_steps: 1}\ngrids: [{options: {beta: 1}}]\n",
        "evil-steps",
    ),
    "a switch that is none": (
        b"description: x\nseeds: 1\nprotocol: {stop: maybe}\ngrids: [{options: {beta: 1}}]\n",
        "--stop maybe",
    ),
    "a switch for a number": (b"description: x\nseeds: 1\ngrids: [{options: {beta: true}}]\n", "--beta true"),
    "a map for a number": (b"description: x\nseeds: 1\ngrids: [{options: {beta: {a: 1}}}]\n", "--beta {'a': 1}"),
    "a map for a data set": (b"description: x\nseeds: 1\ngrids: [{options: {dataset: [[a]]}}]\n", "--dataset ['a']"),
    "no value": (b"description: x\nseeds: 1\ngrids: [{options: {beta: []}}]\n", "--beta: needs at least one value"),
    "a path for a sweep": (
        b"description: x\nearlier: {sweep: ../x}\ngrids: [{options: {heal: fosc}}]\n",
        "--sweep ../x",
    ),
    "an option of the earlier sweep": (
        b"description: x\nearlier: {sweep: x, cells: {betta: 1}}\ngrids: [{options: {heal: fosc}}]\n",
        "betta",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_preset(kind: str, file: Path) -> None:
    content, reason = FILES[kind]
    file.write_bytes(content)
    ended = run(main, ["--preset", str(file), "--dry-run"])
    assert_refused(ended, "--preset")
    assert reason in ended.message


def test_a_path_that_is_no_file(file: Path) -> None:
    folder = file.parent
    (folder / "a.yaml").mkdir()
    (folder / "b.yaml").symlink_to("c.yaml")
    (folder / "c.yaml").symlink_to("b.yaml")
    for name in ("a.yaml", "b.yaml", "c.yaml", "none.yaml", "a.yaml/x.yaml", f"{'y' * 300}.yaml", "/proc/1/mem.yaml"):
        ended = run(main, ["--preset", name, "--dry-run"])
        assert_refused(ended, "--preset")
        assert "can't be read" in ended.message
    (folder / "a.yaml").rmdir()
    for link in ("b.yaml", "c.yaml"):
        (folder / link).unlink()


@pytest.mark.slow
@cases(100)
@given(data=st.data(), option=st.sampled_from(QUICK_OPTIONS), rule=st.sampled_from(PROTOCOL_OPTIONS))
def test_what_the_file_says_is_what_is_trained(
    data: st.DataObject, option: OptionCase, rule: OptionCase, file: Path
) -> None:
    """A valid file gives its sweep, and the same file with one wrong value gives a message."""
    content: dict[str, Any] = copy.deepcopy(QUICK)
    value = data.draw(option.valid)
    method = value if option.name == "method" else "trades"
    base = {name: values for name, values in {"beta": (1,), "batch_size": (16,)}.items() if not lacks(method, name)}
    options = content["grids"][0]["options"] | {name: [*values] for name, values in base.items()}
    options = {name: there for name, there in options.items() if not lacks(method, name)}
    others = {name: there for name, there in needed([option.name]).items() if name != option.name}
    content["grids"][0]["options"] = options | others | {option.name: value}
    content["protocol"][rule.name] = data.draw(rule.valid)
    file.write_text(yaml.safe_dump(content))
    sweep = load(file)
    assert not isinstance(sweep, str), sweep
    given = {option.name: content["grids"][0]["options"][option.name], rule.name: content["protocol"][rule.name]}
    by_flags = build_sweep(
        load_preset("fields-quick", PRESETS),
        preset_name="mine",
        name="mine",
        cell_overrides={
            **base,
            **{name: (there,) for name, there in others.items()},
            option.name: (given[option.name],),
        },
        protocol_overrides={rule.name: given[rule.name]},
    )
    assert sweep == by_flags.model_copy(update={"entries": sweep.entries})
    assert [entry.cell for entry in sweep.entries] == [entry.cell for entry in by_flags.entries]
    wrong = data.draw(st.sampled_from([option, rule]))
    place = content["protocol"] if wrong is rule else content["grids"][0]["options"]
    place[wrong.name] = data.draw(wrong.invalid)
    file.write_text(yaml.safe_dump(content, allow_unicode=data.draw(st.booleans())), encoding="utf-8", errors="replace")
    complaint = load(file)
    assert isinstance(complaint, str), place[wrong.name]
    assert_clear(complaint)
    assert mentions(complaint, wrong.name), complaint


@pytest.mark.slow
@cases(300)
@given(content=changed_json(json.dumps(QUICK).encode()))
def test_values_of_any_type(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One value of the preset is replaced by an arbitrary JSON value, which is also YAML."""
    file = tmp_path_factory.getbasetemp() / "changed.yaml"
    file.write_bytes(content)
    loaded = load(file)
    if isinstance(loaded, str):
        assert_clear(loaded)


@cases(200)
@given(content=damaged((PRESETS / "fields-quick.yaml").read_bytes()))
def test_damaged_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.yaml"
    file.write_bytes(content)
    loaded = load(file)
    if isinstance(loaded, str):
        assert_clear(loaded)


@cases(200)
@given(content=JSON)
def test_any_json(content: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(content))
    loaded = load(file)
    assert isinstance(loaded, str)
    assert_clear(loaded)
    assert os.fspath(file) in loaded
