"""Options belong to their method: what a cell holds, what is an error, and that no id ever changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field

from core.config import (
    METHODS,
    OPTION_FIELDS,
    OPTION_OWNER,
    Cell,
    MethodEntry,
    MethodOptions,
    Passes,
    Preset,
    ProtocolOptions,
    SeededCell,
    Sweep,
    Trial,
    build_sweep,
    register_method,
)
from core.config.cell import _index_options
from core.ledger.ledger import Ledger
from core.storage import Store

OLD = json.loads(Path(__file__).with_name("old_ids.json").read_text())
"""Flat options and ids of TRADES and PGD-AT cells as commit 657d744 wrote them, before methods owned options."""


def cells(*options: dict[str, Any], **overrides: Any) -> list[Cell]:
    preset = Preset(description="", grids=[{"options": o} for o in options], seeds=1)
    made = build_sweep(preset, preset_name="p", name="test", cell_overrides=overrides, protocol_overrides={})
    return [entry.cell for entry in made.entries]


@pytest.mark.parametrize("old", OLD, ids=lambda old: old["id"])
def test_a_stored_cell_keeps_its_id(old: dict[str, Any]) -> None:
    cell = Cell.stored(old["flat"], "a file")
    assert cell.id == old["id"]
    again = Trial.model_validate_json(Trial(cell=cell, seed=1).model_dump_json()).cell
    assert (again.id, again) == (old["id"], cell)
    assert Cell.stored(cell.flat(), "a file") == cell
    if old["flat"]["method"] == "trades":
        assert Cell.from_flat(old["flat"]).id == old["id"]


def test_only_options_that_the_method_once_carried_are_dropped_from_a_file() -> None:
    pgd = Cell.from_flat({"method": "pgd-at"}).flat()
    assert Cell.stored({**pgd, "beta": 3.0}, "it").id == Cell.from_flat({"method": "pgd-at"}).id
    with pytest.raises(ValueError, match=r"it is of a cell that this version can't train: .*adversarial_first"):
        Cell.stored({**pgd, "adversarial_first": True}, "it")


def test_ids_of_the_methods_never_change() -> None:
    """Adding an option or a method must leave every line as it is: mark a new option with `AddedLater`."""
    frozen = json.loads(Path(__file__).with_name("method_ids.json").read_text())
    assert {name: Cell.from_flat({"method": name}).id for name in METHODS} == frozen


def test_a_foreign_option_is_an_error_that_names_its_owners() -> None:
    with pytest.raises(ValueError, match=r"^beta is impossible with method pgd-at; it belongs to .*trades"):
        cells({"method": "pgd-at", "beta": 3})
    with pytest.raises(ValueError, match=r"^beta is impossible with method pgd-at; it belongs to .*trades"):
        cells({"method": "pgd-at"}, beta=("3",))


def test_a_grid_over_methods_drops_what_a_method_lacks_and_merges_equal_cells() -> None:
    expected = [("pgd-at", None), ("trades", 1), ("trades", 6)]
    for found in (
        cells({"method": ["pgd-at", "trades"], "beta": [1, 6]}),
        cells({}, method=("pgd-at", "trades"), beta=("1", "6")),
        cells({"beta": [1, 6]}, method=("pgd-at", "trades")),
    ):
        assert [(cell.method.method, getattr(cell.method, "beta", None)) for cell in found] == expected


def test_another_method_than_the_presets_leaves_the_presets_own_options_behind() -> None:
    (cell,) = cells({"beta": [1, 6], "lr": 0.2}, method=("pgd-at",))
    assert (cell.method.method, cell.training.lr) == ("pgd-at", 0.2)


def test_a_method_alone_has_the_attack_of_its_publication() -> None:
    trades, pgd = (Cell.from_flat({"method": name}).attack for name in ("trades", "pgd-at"))
    assert (trades.inner, trades.attack_start) == ("kl", "gaussian")
    assert (pgd.inner, pgd.attack_start, pgd.attack_steps) == ("ce", "uniform", 10)
    assert Cell.from_flat({"method": "pgd-at", "inner": "kl"}).attack.inner == "kl"


@pytest.mark.parametrize("name", ["infoat", "info-at", "InfoAT"])
def test_why_infoat_is_missing_is_said(name: str) -> None:
    with pytest.raises(ValueError, match="InfoAT has no public formula or code"):
        cells({}, method=(name,))


TRADES_PRESET = {
    "method": "trades",
    "epsilon": 0.2,
    "inner": "kl",
    "attack_steps": 1,
    "attack_step_size": "epsilon",
    "attack_start": "none",
    "awp_radius": 0.005,
}
"""A preset made for TRADES, with an attack and a weight perturbation of its own."""


@pytest.mark.parametrize("method", [name for name in METHODS if name != "trades"])
def test_a_method_alone_is_its_own_on_top_of_a_preset_for_another(method: str) -> None:
    (cell,) = cells(TRADES_PRESET, method=(method,))
    alone = Cell.from_flat({"method": method, "epsilon": 0.2})
    sized = "attack_step_size" in METHODS[method].options.part_defaults(0.2)
    expected = alone.attack.model_copy(update={} if sized else {"attack_step_size": 0.05})
    assert (cell.attack, cell.awp, cell.method) == (expected, alone.awp, alone.method)


def test_pgd_at_on_top_of_a_preset_for_trades_is_madrys() -> None:
    attack = cells(TRADES_PRESET, method=("pgd-at",))[0].attack
    assert (attack.inner, attack.attack_start, attack.attack_steps, attack.attack_step_size) == (
        *("ce", "uniform"),
        *(10, 0.05),
    )


def test_flags_and_the_presets_own_methods_keep_its_attack() -> None:
    one = cells(TRADES_PRESET, method=("pgd-at",), attack_steps=("3",), awp_radius=("0.01",))[0]
    assert (one.attack.attack_steps, one.attack.attack_step_size, one.awp.awp_radius) == (3, 0.05, 0.01)
    both = {cell.method.method: cell for cell in cells(TRADES_PRESET, method=("trades", "pgd-at"))}
    assert (both["trades"].attack.attack_steps, both["pgd-at"].attack.attack_steps) == (1, 10)
    in_the_file = cells({**TRADES_PRESET, "method": ["trades", "pgd-at"]}, lr=("0.3",))
    assert [(cell.attack.attack_steps, cell.attack.inner) for cell in in_the_file] == [(1, "kl"), (1, "kl")]


def test_an_old_sweep_is_continued_with_its_own_cells(tmp_path: Path) -> None:
    """PGD-AT over beta was the same experiment several times, under several ids: all of them stay."""
    old = [entry for entry in OLD if entry["given"] in ({"method": "pgd-at", "beta": 1}, {"method": "pgd-at"})]
    flat = {name: value for name, value in old[0]["flat"].items() if OPTION_OWNER[name] != "method"}
    today = Cell.from_flat({**flat, "method": "pgd-at"})
    other = Cell.from_flat({"method": "pgd-at", "lr": 0.3})
    entries = tuple(SeededCell(cell=cell, seeds=2) for cell in (today, other))
    sweep = Sweep(name="old", preset="p", entries=entries, protocol=ProtocolOptions())
    ledger = Ledger(Store(str(tmp_path)), "old")
    assert ledger.continued(sweep) == sweep
    stored = {"name": "old", "preset": "p", "protocol": sweep.protocol.model_dump(mode="json")}
    (tmp_path / "sweep.json").write_text(json.dumps({**stored, "cells": {o["id"]: o["flat"] for o in old}}))
    continued = ledger.continued(sweep)
    assert {entry.cell.id for entry in continued.entries} == {old[0]["id"], old[1]["id"], other.id}
    assert set(ledger.describe(continued)["cells"]) == {old[0]["id"], old[1]["id"], other.id}


class DoubledOptions(MethodOptions):
    method: Literal["doubled"] = Field("doubled", description="training method")
    factor: int = Field(2, ge=1, description="factor of the loss")
    fixed: ClassVar = frozenset({"attack_steps"})

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        return {"attack_steps": 1, "attack_step_size": 1.25 * epsilon}

    def objective_passes(self) -> Passes:
        return Passes(1, 0, 1)


@pytest.fixture
def doubled() -> Any:
    register_method("doubled", MethodEntry(DoubledOptions, "tests.nowhere:Doubled"))
    yield
    del METHODS["doubled"]
    _index_options()


@pytest.mark.usefixtures("doubled")
def test_a_method_can_be_registered_while_the_program_runs() -> None:
    before = {old["id"] for old in OLD}
    assert OPTION_OWNER["factor"] == "method"
    assert OPTION_FIELDS["factor"].description == "factor of the loss"
    cell = Cell.from_flat({"method": "doubled", "factor": "3", "epsilon": "4/255"})
    assert cell.flat()["factor"] == 3
    assert cell.attack.attack_step_size == pytest.approx(5 / 255)
    assert cell.id not in before
    with pytest.raises(ValueError, match="attack_steps 2 is impossible with method doubled, which has 1"):
        Cell.from_flat({"method": "doubled", "attack_steps": 2})
    with pytest.raises(ValueError, match="factor is impossible with method trades; it belongs to doubled"):
        Cell.from_flat({"factor": 3})
    assert len(cells({"method": ["trades", "doubled"], "attack_steps": [5, 10]})) == 3
    for name, entry, message in (
        ("trades", MethodEntry(DoubledOptions, "x:Y"), "exists already"),
        ("other", MethodEntry(DoubledOptions, "x:Y"), "are called doubled"),
    ):
        with pytest.raises(ValueError, match=message):
            register_method(name, entry)
    test_ids_of_the_methods = {name: Cell.from_flat({"method": name}).id for name in ("trades", "pgd-at")}
    frozen = json.loads(Path(__file__).with_name("method_ids.json").read_text())
    assert test_ids_of_the_methods.items() <= frozen.items()
