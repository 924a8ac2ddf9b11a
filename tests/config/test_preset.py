"""Presets and what flags make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import (
    OPTION_FIELDS,
    Cell,
    EarlierCell,
    EarlierSweep,
    Preset,
    ProtocolOptions,
    Sweep,
    build_sweep,
    load_preset,
)


def sweep(preset: Preset, **overrides: Any) -> Sweep:
    return build_sweep(preset, preset_name="p", name="test", cell_overrides=overrides, protocol_overrides={})


def grid(*options: dict[str, Any], seeds: int = 2, **more: Any) -> Preset:
    return Preset(description="", grids=[{"options": o} for o in options], seeds=seeds, **more)


PUBLISHED = {
    "table2-batch": {(b, n): 10 for b in (1, 3, 6) for n in (128, 256, 512)},
    "table2-lr": {(b, r): 10 for b in (1, 3, 6) for r in (0.01, 0.05, 0.1)},
    "table4": {(b, d): n for b in (1, 3, 6) for d, n in (("cifar10", 6), ("cifar100", 10), ("tiny-imagenet-200", 3))},
    "table5": {(b, (100, 150)): 3 for b in (1, 3, 6)},
}
AXIS = {"table2-batch": "batch_size", "table2-lr": "lr", "table4": "dataset", "table5": "milestones"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_papers_tables_expand_to_their_cells_and_seeds(presets: Path, name: str) -> None:
    expanded = sweep(load_preset(name, presets))
    cells = {}
    for entry in expanded.entries:
        flat = entry.cell.flat()
        axis = flat[AXIS[name]]
        cells[flat["beta"], tuple(axis) if isinstance(axis, list) else axis] = entry.seeds
        # section 3.1 and Appendix B
        assert (flat["model"], flat["augment"]) == ("resnet18", "crop-flip")
        assert (flat["epsilon"], flat["attack_step_size"], flat["attack_steps"]) == (8 / 255, 2 / 255, 10)
        assert (flat["momentum"], flat["nesterov"], flat["weight_decay"]) == (0.9, True, 5e-4)
        assert flat["epochs"] == (100 if flat["dataset"] == "tiny-imagenet-200" else 200)
        if name != "table2-lr":
            assert flat["lr"] == 0.1
        if name in ("table4", "table5"):
            assert flat["batch_size"] == 256
    assert cells == PUBLISHED[name]
    assert not expanded.protocol.stop
    assert expanded.protocol.overestimation_gap == 0.08


def test_fields_quick_is_single_step_trades_on_fields(presets: Path) -> None:
    expanded = sweep(load_preset("fields-quick", presets))
    cells = {(e.cell.method.beta, e.cell.training.batch_size) for e in expanded.entries}
    assert cells == {(beta, batch) for beta in (1, 6) for batch in (16, 64)}
    assert all(e.seeds >= 3 and e.cell.attack.attack_steps == 1 and e.cell.data.classes == 50 for e in expanded.entries)


@pytest.mark.parametrize(("name", "steps"), [("quick", 1), ("trades10-digits", 10)])
def test_presets_on_digits_judge_by_the_papers_thresholds(presets: Path, name: str, steps: int) -> None:
    expanded = sweep(load_preset(name, presets))
    cells = {(e.cell.attack.epsilon, e.cell.method.beta) for e in expanded.entries}
    assert cells == {(epsilon, beta) for epsilon in (0.1, 0.28) for beta in (1, 6)}
    for attack in (entry.cell.attack for entry in expanded.entries):
        assert attack.attack_steps == steps
        assert attack.attack_step_size == attack.epsilon / (1 if steps == 1 else 4)
    assert (expanded.protocol.overestimation_gap, expanded.protocol.catastrophic_gap) == (0.08, 0.2)


def test_a_relative_step_size_follows_the_radius() -> None:
    preset = grid({"epsilon": [0.1, "2/10"], "attack_steps": 1, "attack_step_size": "epsilon / 2"})
    assert [e.cell.attack.attack_step_size for e in sweep(preset).entries] == [0.05, 0.1]
    (entry,) = sweep(preset, epsilon=("0.4",)).entries
    assert entry.cell == Cell.from_flat({"epsilon": 0.4, "attack_steps": 1, "attack_step_size": 0.2})
    (entry,) = sweep(grid({"attack_step_size": "epsilon"})).entries
    assert entry.cell.attack.attack_step_size == entry.cell.attack.epsilon == 8 / 255
    for wrong in ("epsilon/0", "epsilon/", "2*epsilon", "epsilon/-1", "epsilon/0.01"):
        with pytest.raises(ValueError, match="--attack-step-size"):
            sweep(grid({"attack_step_size": wrong, "epsilon": 0.5}))


@pytest.mark.parametrize("wrong", [0, -0.1, 3, "abc"])
def test_a_wrong_radius_is_one_problem_although_the_step_size_follows_it(wrong: object) -> None:
    with pytest.raises(ValueError) as refused:
        sweep(grid({"attack_step_size": "epsilon", "epsilon": wrong}))
    assert f"--epsilon {wrong}: must be" in str(refused.value)
    assert "attack-step-size" not in str(refused.value)


def test_all_presets_load(presets: Path) -> None:
    names = [path.stem for path in presets.glob("*.yaml")]
    assert {*PUBLISHED, "quick"} <= set(names)
    loaded = {name: load_preset(name, presets) for name in names}
    assert all(sweep(preset).entries for preset in loaded.values() if preset.earlier is None)
    for preset in loaded.values():
        if preset.earlier:
            cells = [entry.cell for entry in sweep(loaded[preset.earlier.sweep]).entries]
            assert any(preset.earlier.takes(cell) for cell in cells)


def test_overrides_replace_a_presets_values_and_equal_cells_are_one() -> None:
    preset = grid({"beta": [1, 3], "lr": 0.1}, {"beta": 1, "lr": [0.1, 0.2]})
    assert len(sweep(preset).entries) == 3
    assert [e.cell.method.beta for e in sweep(preset, beta=("6",)).entries] == [6, 6]
    with pytest.raises(ValueError, match=r"--beta 1 1\.0 2/2: 1 and 1\.0 are the same value"):
        sweep(preset, beta=("1", "1.0", "2/2"))


def test_ablations_are_the_default_cell_but_for_what_they_are_named_for(presets: Path) -> None:
    """Appendices F and H: Table 6 changes the inner loss, Table 7 adds AWP; Table 3 the same cell with healing."""
    batch = sweep(load_preset("table2-batch", presets)).entries
    default = next(e.cell for e in batch if (e.cell.method.beta, e.cell.training.batch_size) == (3, 256))
    (modified,) = sweep(load_preset("table6", presets)).entries
    assert modified.cell == Cell.from_flat({**default.flat(), "inner": "ce"})
    perturbed = [entry.cell for entry in sweep(load_preset("table7", presets)).entries]
    assert perturbed == [
        Cell.from_flat(
            {**default.flat(), "beta": beta, "awp_radius": 0.005, "awp_warmup": 9, "adversarial_first": True}
        )
        for beta in (1, 3)
    ]
    table3 = load_preset("table3", presets)
    assert table3.earlier
    assert [e.cell for e in batch if table3.earlier.takes(e.cell)] == [default]
    earlier = EarlierSweep(table3.earlier, ProtocolOptions(fosc_threshold=0.7), (EarlierCell(default, (4, 9)),))
    fixed = build_sweep(
        table3, preset_name="table3", name="n", cell_overrides={}, protocol_overrides={}, earlier=earlier
    )
    assert fixed.entries[0].cell == Cell.from_flat({**default.flat(), "heal": "fosc"})
    assert fixed.entries[0].seeds == (4, 9)
    assert fixed.protocol.fosc_threshold == 0.7


@pytest.mark.parametrize("name", ["seat-table1", "seat-table3", "seat-table4", "seat-table-d3"])
def test_seat_has_the_schedule_and_the_attack_mode_of_its_code(presets: Path, name: str) -> None:
    """``run.sh --cyclic`` is OneCycleLR with ``max_lr`` 0.3, and ``generate_llr`` runs in train mode."""
    found = [entry.cell for entry in sweep(load_preset(name, presets)).entries if entry.cell.method.method == "seat"]
    assert found
    for cell in found:
        training = cell.training
        rates = (training.schedule, training.lr, training.momentum, training.peak_momentum)
        assert rates == ("one-cycle", 0.3, 0.95, 0.85)
        assert (training.weight_decay, training.nesterov, cell.attack.attack_bn) == (5e-4, False, "train")


@pytest.mark.parametrize("dataset", ["digits", "cifar10", "cifar100", "svhn", "tiny-imagenet-200", "fields"])
def test_every_data_set_can_replace_a_presets(presets: Path, dataset: str) -> None:
    for name in ("quick",) if dataset in ("digits", "fields") else ("quick", "table2-batch", "table4"):
        expanded = sweep(load_preset(name, presets), dataset=(dataset,))
        assert {entry.cell.data.dataset for entry in expanded.entries} == {dataset}


def test_a_shape_that_was_asked_for_is_not_dropped() -> None:
    preset = grid({"classes": 50, "image_size": 8})
    both = sweep(preset, dataset=("fields", "digits"))
    assert [entry.cell.data.classes for entry in both.entries] == [50, 10]
    with pytest.raises(ValueError, match="classes 50 is impossible with dataset digits"):
        sweep(preset, dataset=("digits",), classes=("50",))


def test_milestones_are_one_value() -> None:
    (entry,) = sweep(grid({"schedule": "step", "milestones": [5, 9]})).entries
    assert entry.cell.training.milestones == (5, 9)
    (entry,) = sweep(grid({"schedule": "step", "milestones": [5]}), milestones=("7", "8")).entries
    assert entry.cell.training.milestones == (7, 8)


def test_all_problems_are_told_at_once_each_with_option_value_and_what_is_allowed() -> None:
    with pytest.raises(ValueError) as error:
        build_sweep(
            grid({"beta": [-1, 1], "epsilon": "2"}),
            preset_name="p",
            name="n",
            cell_overrides={"inner": ["kl", "mse"]},
            protocol_overrides={"fosc_patience": "0"},
        )
    lines = str(error.value).splitlines()
    assert len(lines) == len(set(lines)) == 4
    assert any(line.startswith("--beta -1: ") and "must be at least 0" in line for line in lines)
    assert any(line.startswith("--epsilon 2: ") and "must be at most 1" in line for line in lines)
    assert any(line.startswith("--inner mse: ") and "must be kl or ce" in line for line in lines)
    assert any(line.startswith("--fosc-patience 0: ") for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grids: [", "not valid YAML"),
        ("\xff", "not valid YAML|must be a mapping"),
        ("", "must be a mapping"),
        ("description: x\nseeds: 1\ngrids: []", "must be a list of 1 or more"),
        ("description: x\nseeds: 0\ngrids: [{options: {}}]", "--seeds 0"),
        ("description: x\nseeds: 1\ngrids: [{options: {bta: 1}}]", "unknown option 'bta'; did you mean 'beta'"),
        ("description: x\nseeds: 1\ngrid: []", r"^--preset \S+: grids is missing\n"),
        ("description: x\nseeds: 1\ngrids: [{options: {}}]\nmore: 1", "--more 1"),
    ],
)
def test_files_that_are_no_presets_are_value_errors(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message):
        load_preset(str(file), tmp_path)


def test_an_unknown_preset_lists_the_known_ones(presets: Path) -> None:
    with pytest.raises(ValueError, match=r"--preset tabel2: no such preset; allowed: .*table2-batch"):
        load_preset("tabel2", presets)


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "x" * 101, "a b", "ü"])
def test_names_are_safe_in_folders_and_uris(name: str) -> None:
    with pytest.raises(ValueError, match=r"--name .*: must be 1 to 100 letters"):
        build_sweep(grid({}), preset_name="p", name=name, cell_overrides={}, protocol_overrides={})


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["8/255", "1/0", "1e400", "-0", "fields", "cifar10", "digits", "step", "train", "wrn-28-10", "0x10"]
    ),
)
LISTS = st.lists(st.one_of(SCALARS, st.lists(SCALARS, max_size=2)), max_size=3)
VALUES = st.one_of(SCALARS, LISTS, st.dictionaries(st.text(max_size=3), SCALARS, max_size=2))
NAMES = st.sampled_from(sorted(OPTION_FIELDS))


@given(
    options=st.dictionaries(NAMES, VALUES, max_size=4),
    overrides=st.dictionaries(NAMES, st.lists(st.text(max_size=6), max_size=3), max_size=3),
    protocol=st.dictionaries(st.sampled_from(sorted(ProtocolOptions.model_fields)), VALUES, max_size=3),
)
def test_any_values_make_a_sweep_or_a_value_error(
    options: dict[str, Any], overrides: dict[str, Any], protocol: dict[str, Any]
) -> None:
    try:
        built = build_sweep(
            grid(options), preset_name="p", name="n", cell_overrides=overrides, protocol_overrides=protocol
        )
    except ValueError as error:
        message = str(error)
    else:
        message = f"{len(built.entries)} cells"
    assert message


@pytest.mark.parametrize("name", ["table2-batch", "table2-lr", "table4", "table5", "table6", "table7"])
def test_the_papers_presets_have_the_arithmetic_of_its_code(name: str, presets: Path) -> None:
    assert {entry.cell.training.precision for entry in sweep(load_preset(name, presets)).entries} == {"tf32"}


def test_many_grids_are_no_way_around_the_limit_of_cells() -> None:
    seeds = [{"data_seed": list(range(first, first + 9000))} for first in (0, 9000)]
    with pytest.raises(ValueError, match="2 grids are 18000 cells; allowed are 10000 together"):
        sweep(grid(*seeds))
    assert len(sweep(grid(*[{"data_seed": [first, first + 1]} for first in (0, 2)])).entries) == 4
