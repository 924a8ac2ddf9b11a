"""Sweeps from command lines: seeds of an earlier sweep, groups of pinned streams, and plans."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import jobs
from core.command.request import SweepRequest, read_request
from core.command.without_effect import check_preset_effects
from core.config import Cell, ProtocolOptions, SeededCell, Sweep, Trial, load_preset
from core.ledger.ledger import Ledger
from core.records import TrialRecord, Verdict
from core.storage import Store
from core.sweep.trial_plan import fixed_trials
from jobs.sweep_trades import budget_line, main

PRESETS = Path(jobs.__file__).parent / "presets"
BASE = {"epsilon": 0.17, "attack_steps": 1, "attack_step_size": 0.17}


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SweepRequest]:
    """A function that reads a command line. Sweep ``before`` is stored, with unstable seeds 3 and 8 at beta 1."""
    monkeypatch.chdir(tmp_path)
    protocol = ProtocolOptions(fosc_threshold=2.0, eval_steps=7)
    cells = [Cell.from_flat({**BASE, "beta": beta}) for beta in (1, 6)]
    ledger = Ledger(Store(str(tmp_path / "results")).child("before"), "before")
    entries = tuple(SeededCell(cell=cell, seeds=10) for cell in cells)
    ledger.enter(Sweep(name="before", preset="none", entries=entries, protocol=protocol))
    for trial in (Trial(cell=cell, seed=seed) for cell in cells for seed in (3, 8)):
        outcome = "unstable" if trial.cell.method.beta == 1 else "stable"
        ledger.write(
            TrialRecord(
                sweep="before",
                cell_id=trial.cell.id,
                cell=trial.cell.flat(),
                seed=trial.seed,
                protocol=protocol.model_dump(mode="json"),
                verdict=Verdict(outcome=outcome, onset=False),  # type: ignore[arg-type]
                epochs_planned=50,
                epochs_run=50,
                device_seconds=36.0,
            )
        )
    return lambda line: read_request(line.split(), PRESETS, "")


FILE = """
description: mine
seeds: 1
{more}
grids:
- options: {{dataset: fields, epsilon: 0.1, epochs: 10, {options}}}
- options: {{dataset: fields, epsilon: 0.2, epochs: 50, schedule: step, milestones: [40], {other}}}
"""
"""A preset of two grids, of which only the second one trains after epoch 40."""


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"options": "schedule: step, milestones: [40]"}, "--milestones 40: nothing is trained after epoch 40"),
        ({"options": "heal: none, heal_batches: 20"}, "--heal-batches 20: needs --heal fosc"),
        ({"options": "test_images: 100", "more": "protocol: {verdict_images: 200}"}, None),
        (
            {"options": "test_images: 100", "other": "test_images: 150", "more": "protocol: {verdict_images: 200}"},
            "--verdict-images 200: the test set has 100 images; the test set has 150 images",
        ),
        ({"more": "protocol: {fosc_patience: 60}"}, "--fosc-patience 60: an alarm is possible from epoch"),
        ({"more": "protocol: {fosc_grace: 60}"}, "--fosc-grace 60: an alarm is possible from epoch"),
        ({"more": "protocol: {stop: false, audit: 0.5}"}, "--audit 0.5: has no effect with --no-stop"),
        ({"more": "pin_value: [3]"}, "--pin-value 3: needs --pin-seed"),
        ({"options": "heal: [none, fosc], heal_batches: 20", "more": "protocol: {fosc_patience: 30}"}, None),
    ],
)
def test_a_value_of_a_preset_without_effect_is_refused_like_a_flag(
    ask: Callable[[str], SweepRequest], tmp_path: Path, parts: dict[str, str], message: str | None
) -> None:
    (tmp_path / "mine.yaml").write_text(FILE.format(**{"more": "", "options": "", "other": "", **parts}))
    if message is None:
        assert len(ask("--preset mine.yaml --dry-run").sweep.entries) >= 2
        return
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        ask("--preset mine.yaml --dry-run")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_value_of_a_shipped_preset_has_an_effect(preset: str) -> None:
    check_preset_effects(preset, load_preset(preset, PRESETS))


def test_a_flag_may_take_the_effect_from_a_presets_value(ask: Callable[[str], SweepRequest], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(FILE.format(more="", options="", other=""))
    assert len(ask("--preset mine.yaml --epochs 30 --dry-run").sweep.entries) == 2


def test_seeds_of_an_earlier_sweep_keep_its_cells_and_protocol(ask: Callable[[str], SweepRequest]) -> None:
    sweep = ask("--seeds-from before --heal fosc --heal-noise 0.1 0.2 --no-stop --name again").sweep
    before = Cell.from_flat({**BASE, "beta": 1})
    cells = [Cell.from_flat({**before.flat(), "heal": "fosc", "heal_noise": noise}) for noise in (0.1, 0.2)]
    assert [entry.cell for entry in sweep.entries] == cells
    assert all(entry.seeds == (3, 8) for entry in sweep.entries)
    assert sweep.protocol == ProtocolOptions(fosc_threshold=2.0, eval_steps=7, stop=False)
    assert sweep.rerun
    assert sweep.rerun.counterparts == {cell.id: before.id for cell in cells}
    assert {(t.cell.id, t.seed) for t in fixed_trials(sweep)} == {(c.id, s) for c in cells for s in (3, 8)}


def test_other_outcomes_fewer_seeds_and_a_preset_for_another_sweep(ask: Callable[[str], SweepRequest]) -> None:
    (stable,) = ask("--seeds-from before --where stable --seeds 1 --name again").sweep.entries
    assert (stable.cell.method.beta, stable.seeds) == (6, (3,))
    healed = ask("--preset heal-quick --seeds-from before").sweep
    assert healed.name == "heal-quick"
    assert healed.entries[0].cell.heal.heal == "fosc"
    assert not healed.protocol.stop
    assert healed.protocol.eval_steps == 7


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--seeds-from before --heal fosc", "--seeds-from before: needs a --name"),
        ("--seeds-from before --name before", "--name before: is the earlier sweep of --seeds-from"),
        ("--seeds-from nosuch --name x", "no sweep nosuch in .*known are before"),
        ("--seeds-from before --where broken --name x", "--where broken: .*stable, unstable, healed"),
        ("--seeds-from before --where healed --name x", "--where healed: no trial of sweep before has such an outcome"),
        ("--seeds-from before --preset table2-lr", "gives the cells; leave out --preset table2-lr"),
        ("--where stable", "--where stable: needs --seeds-from"),
        ("--dataset cifar10", "--dataset cifar10: preset quick has .* give --epsilon and --model too"),
        ("--dataset svhn --epsilon 8/255", "--dataset svhn: .* or give --model too"),
        ("--preset heal-quick", "no sweep quick in"),
        ("--preset table3 --seeds-from before", r"no trial with {'beta': 3, 'batch_size': 256} of sweep before"),
        ("--seeds-from before --where stable unstable --beta 2 --name x", "two cells of sweep before become one"),
        ("--seeds-from before --name x --until-width 0.5", "--seeds-from before is impossible with --until-width"),
        ("--pin-seed init --pin-value 0 1 --max-trials 9", "--pin-value with 2 values is impossible"),
        ("--pin-seed init --pin-value 1 1", "--pin-value 1 1: allowed are one or more different"),
        ("--pin-value 1 2", "--pin-value 1 2: needs --pin-seed"),
        ("--pin-value 7", "--pin-value 7: needs --pin-seed"),
        ("--plan --assume-rate 0.5", "--plan: needs a goal"),
        ("--plan --until-width 0.5", "--plan: needs either --pilot or --assume-rate"),
        ("--plan --until-width 0.5 --pilot before --assume-rate 1", "--plan: needs either --pilot or --assume-rate"),
        ("--plan --until-width 0.5 --pilot before --price -1", "--price -1"),
    ],
)
def test_what_cannot_be_is_said(ask: Callable[[str], SweepRequest], line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(line)


def test_each_pinned_value_is_a_group(ask: Callable[[str], SweepRequest]) -> None:
    sweep = ask("--pin-seed init,order attack --pin-value 4 0 --beta 1 --epsilon 0.2 --seeds 2").sweep
    assert sweep.pin_groups == tuple({"init": value, "order": value, "attack": value} for value in (4, 0))
    assert len(fixed_trials(sweep)) == 4
    assert ask("--seeds 2").sweep.pin_groups == ({},)
    assert len(ask("--preset pin-quick").sweep.pin_groups) == 8
    assert len(ask("--preset pin-quick --pin-value 1 2").sweep.pin_groups) == 2


def test_a_plan_is_printed_and_nothing_written(
    ask: Callable[[str], SweepRequest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    goal = "--plan --preset fields-quick --batch-size 128 --max-trials 30 --simulations 20 --no-stop"
    assert main(f"{goal} --pilot before --price 100".split()) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if len(line.split()) == 5}
    # There are 30 trials of 50 epochs. Each trial takes 36 device-seconds.
    assert lines["trials"] == ["30"] * 4
    assert lines["epochs"] == ["1,500"] * 4
    assert lines["device-hours"] == ["0.3"] * 4
    assert lines["money"] == ["30"] * 4
    assert "2/2 in before" in printed
    assert main(f"{goal} --assume-rate 0 1 --device-tflops 20".split()) == 0
    assert "money" not in capsys.readouterr().out
    assert main([*goal.split(), "--pilot", "before", "--lr", "0.3"]) == 2
    assert "--pilot before: it has no countable trial" in " ".join(capsys.readouterr().err.split())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "hours", "goal_hours"),
    [
        ("--seeds 3", None, None),
        ("--seeds 3 --max-device-hours 5", 5.0, None),
        ("--seeds 3 --max-cost 6 --price 2", 3.0, None),
        ("--seeds 3 --max-cost 6 --price 2 --max-device-hours 1", 1.0, None),
        ("--max-cost 6 --price 2", 3.0, None),
        ("--max-device-hours 5", None, 5.0),
        ("--until-width 0.4 --max-cost 6 --price 2 --max-device-hours 5", None, 3.0),
    ],
)
def test_a_budget_limits_fixed_seeds_or_is_part_of_a_goal(
    words: str, hours: float | None, goal_hours: float | None
) -> None:
    request = read_request(words.split(), PRESETS, "")
    assert request.max_device_hours == hours
    assert (request.goal.max_device_hours if request.goal else None) == goal_hours


@pytest.mark.parametrize(("hours", "verdict"), [(2.0, "is within"), (2.5, "is within"), (2.6, "is above")])
def test_an_estimate_is_compared_with_the_budget(hours: float, verdict: str) -> None:
    said = budget_line(hours, 2.5, 4)
    assert said == f"The estimate of {hours:g} device-hours {verdict} the budget of 2.5 (cost {4 * hours:g} of 10)."
    assert "cost" not in budget_line(hours, 2.5, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--max-cost 5", "--max-cost 5.0: needs a --price above 0"),
        ("--max-cost 5 --price 0", "--max-cost 5.0: needs a --price above 0"),
        ("--seeds 3 --max-device-hours 0", "--max-device-hours 0: must be greater than 0"),
        ("--seeds 3 --max-device-hours 4 --max-trials 9", "--seeds 3 is impossible with --max-trials"),
        ("--max-crashes 1", "--max-crashes 1: must be at least 2"),
    ],
)
def test_an_impossible_budget_is_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_request(words.split(), PRESETS, "")
