"""The notation of numbers that change over the epochs: meaning, spelling, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from core.command.parser import parse
from core.command.sweep_flags import sweep_groups
from core.config import METHODS, OPTION_FIELDS, Cell, Preset, build_sweep, load_preset
from core.config.base import Options
from core.config.flags import shown_value
from core.config.over_epochs import NumberOverEpochs, OverEpochs, WholeOverEpochs

BUSY = settings(deadline=None)
"""A busy machine takes long for anything."""
PLAIN = st.integers(0, 300).map(str) | st.floats(0, 100).map(repr) | st.integers(0, 254).map(lambda n: f"{n}/255")


@st.composite
def written(draw: st.DrawFn, *, how: tuple[str, ...] = ("..", "then")) -> str:
    """Text in the notation, whose moments increase."""
    others = draw(st.integers(1, 4))
    percent = draw(st.booleans())
    moments = sorted(draw(st.sets(st.integers(2, 100), min_size=others + 1, max_size=others + 1)))
    text = draw(PLAIN) + draw(st.sampled_from(["", f"@{moments[0]}{'%' * percent}"]))
    for moment in moments[1:]:
        text += draw(st.sampled_from(how)) + draw(PLAIN) + f"@{moment}{'%' * percent}"
    return text


@pytest.mark.parametrize(
    ("text", "epochs", "values"),
    [
        ("0..8@5", 7, [0, 2, 4, 6, 8, 8, 8]),
        ("0@1..8@5", 7, [0, 2, 4, 6, 8, 8, 8]),
        ("0@3..8@5", 7, [0, 0, 0, 4, 8, 8, 8]),
        ("10then40@4", 5, [10, 10, 10, 40, 40]),
        ("0then1@2then2@4", 4, [0, 1, 1, 2]),
        ("0..8@3then1@5", 6, [0, 4, 8, 8, 1, 1]),
        ("0then4@3..8@5", 6, [0, 0, 4, 6, 8, 8]),
        ("1then6@50%", 4, [1, 1, 6, 6]),
        ("1then6@50%", 5, [1, 1, 1, 6, 6]),
        ("0..1@100%", 4, [0, 0.25, 0.5, 0.75]),
        ("-1..1@3", 3, [-1, 0, 1]),
    ],
)
def test_values_of_the_epochs(text: str, epochs: int, values: list[float]) -> None:
    schedule = OverEpochs.parse(text)
    assert [schedule.at(epoch, epochs) for epoch in range(1, epochs + 1)] == values


def test_schedules_of_publications() -> None:
    """GAT's lambda grows after epoch 86 of 100; FAT's tau after 50 and 90 of 120; ISEAT warms up in epochs 0 to 5."""
    gat, fat = OverEpochs.parse("10then40@86%"), OverEpochs.parse("0then1@51then2@91")
    assert [epoch for epoch in range(1, 101) if gat.at(epoch, 100) == 40] == list(range(87, 101))
    assert [int(fat.at(epoch, 120)) for epoch in (50, 51, 90, 91, 120)] == [0, 1, 1, 2, 2]
    iseat = OverEpochs.parse("0..8/255@6")
    factors = [iseat.at(epoch + 1, 30) / (8 / 255) for epoch in range(7)]
    assert factors == pytest.approx([0, 1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 1], abs=1e-15)


@BUSY
@given(written(how=("..",)), st.integers(1, 200))
def test_linear_parts_are_those_of_numpy(text: str, epochs: int) -> None:
    schedule = OverEpochs.parse(text)
    scale = epochs / 100 if schedule.relative else 1.0
    moments = [float(knot.when) * scale for knot in schedule.knots]
    expected = np.interp(np.arange(epochs), moments, schedule.values)
    found = [schedule.at(epoch, epochs) for epoch in range(1, epochs + 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@BUSY
@given(written(how=("then",)), st.integers(1, 200), st.integers(1, 200))
def test_steps_have_the_last_value_whose_moment_has_come(text: str, epoch: int, epochs: int) -> None:
    expected = None
    for part in text.split("then"):
        value, _, moment = part.partition("@")
        if expected is None:
            come = True
        elif moment.endswith("%"):
            come = 100 * (epoch - 1) >= int(moment[:-1]) * epochs
        else:
            come = epoch >= int(moment)
        if come:
            numerator, _, denominator = value.partition("/")
            expected = float(numerator) / float(denominator or 1)
    assert OverEpochs.parse(text).at(epoch, epochs) == expected


@BUSY
@given(written())
def test_a_schedule_is_printed_and_read_back_the_same(text: str) -> None:
    schedule = OverEpochs.parse(text)
    assert OverEpochs.parse(str(schedule)) == schedule
    assert str(OverEpochs.parse(str(schedule))) == str(schedule)
    assert shown_value("beta", schedule) == str(schedule)


@BUSY
@given(written(), st.integers(1, 60))
def test_a_schedule_is_constant_if_all_epochs_have_one_value(text: str, epochs: int) -> None:
    schedule = OverEpochs.parse(text)
    values = {schedule.at(epoch, epochs) for epoch in range(1, epochs + 1)}
    assert schedule.is_constant(epochs) == (len(values) == 1)


@pytest.mark.parametrize("text", ["0..6@10", "0@3..6@10", "10then40@86%", "0then1@51then2@91", "0..8/255@33.3%"])
def test_texts_are_printed_as_they_are_written(text: str) -> None:
    assert str(OverEpochs.parse(text)) == text


@pytest.mark.parametrize("text", ["0..6@10", "1then6@50%", "0.1..2e-07@3then8/255@9"])
def test_command_line_yaml_and_files_hold_one_token(text: str, tmp_path: Path) -> None:
    """Each way gives the same cell: a flag among other values, a list and a scalar in a preset, a stored cell."""
    cell = Cell.from_flat({"beta": text})
    given = parse(sweep_groups(), ["--beta", "1", text, "--lr", "0.1"])
    assert given["beta"] == ("1", text)
    for value in (f"[1, {text}]", f"\n      - 1\n      - {text}", text):
        file = tmp_path / "mine.yaml"
        file.write_text(f"description: x\nseeds: 1\ngrids:\n- options:\n    beta: {value}\n    epochs: 50\n")
        options = load_preset(str(file), tmp_path).grids[0].combinations({})
        assert Cell.from_flat(options[-1]) == cell
    again = Cell.stored(json.loads(json.dumps(cell.flat())), "a file")
    assert (again, again.id) == (cell, cell.id)
    assert Cell.model_validate_json(cell.model_dump_json()) == cell


def test_a_schedule_is_a_value_of_an_axis_with_its_own_id() -> None:
    preset = Preset(description="", grids=[{"options": {"beta": [1, "0@1 .. 6@10"]}}], seeds=1)
    made = build_sweep(preset, preset_name="p", name="n", cell_overrides={}, protocol_overrides={})
    assert [str(entry.cell.flat()["beta"]) for entry in made.entries] == ["1.0", "0..6@10"]
    assert len({entry.cell.id for entry in made.entries}) == 2
    twice = Preset(description="", grids=[{"options": {"beta": ["0..6@10", "0@1 .. 6@10"]}}], seeds=1)
    with pytest.raises(ValueError, match=r"0\.\.6@10 and 0@1 \.\. 6@10 are the same value"):
        build_sweep(twice, preset_name="p", name="n", cell_overrides={}, protocol_overrides={})


def test_a_cell_in_an_epoch_is_the_cell_with_that_epochs_numbers() -> None:
    options = {"method": "gat", "guidance": "0..10@3", "awp_radius": "0then0.005@2", "epochs": 4}
    cell = Cell.from_flat({**options, "attack_step_size": "0..8/255@3"})
    for epoch, (guidance, radius, size) in enumerate([(0, 0, 0), (5, 0.005, 4 / 255), (10, 0.005, 8 / 255)], start=1):
        numbers = {"guidance": guidance, "guidance_factor": 1, "awp_radius": radius, "attack_step_size": size}
        now = cell.in_epoch(epoch)
        assert {name: now.flat()[name] for name in numbers} == numbers
        assert now.flat() == {**cell.flat(), **numbers}
    plain = Cell.from_flat({"epochs": 4})
    assert plain.in_epoch(2) is plain


REFUSED = {
    "1@": "the notation ends at '@'; write a number, or numbers over the epochs such as 0..6@10",
    "x@3": "the notation ends at 'x@3'",
    "1then2": "every value after the first needs @ and its epoch",
    "2@3": "one value alone has no epochs",
    "1then2@3then4@3": "the epochs must increase",
    "1@5then2@3": "the epochs must increase",
    "1then2@1": "must come after the beginning of the first epoch",
    "1..2@3%then4@4": "mixed",
    "1then2@0": "epoch 0 is impossible",
    "1..2@1.5": "epoch 1.5 is impossible",
    "1..2@101%": "101% of the epochs is impossible",
    "1..1e999@3": "finite",
    "1/0..2@3": "not a number or a fraction",
    "0..1001@3": "must be at most 1000",
    "1..-1@3": "must be at least 0",
    "0..2@٣": "the notation ends at",
    "0..5.@3": "the notation ends at '.@3'",
}


@pytest.mark.parametrize("text", REFUSED)
def test_other_texts_are_refused_with_option_value_and_form(text: str) -> None:
    preset = Preset(description="", grids=[{"options": {}}], seeds=1)
    with pytest.raises(ValueError) as error:
        build_sweep(preset, preset_name="p", name="n", cell_overrides={"beta": (text,)}, protocol_overrides={})
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"--beta {text}: ")
    assert REFUSED[text] in line


@BUSY
@given(st.text(alphabet="0123456789.@%/then -+e", max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        cell = Cell.from_flat({"beta": text, "epochs": 100_000})
    except ValueError:
        return
    assert Cell.from_flat(cell.flat()) == cell


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"attack_step_size": "epsilon/4"}, "0..2/255@6"),
        ({"method": "rs-fgsm"}, "0..10/255@6"),
        ({"method": "fgsm-at"}, "0..8/255@6"),
        ({"method": "rs-fgsm", "attack_step_size": "1/255"}, 1 / 255),
        ({"attack_step_size": "0..1/255@6"}, "0..1/255@6"),
        ({}, 2 / 255),
    ],
)
def test_step_sizes_relative_to_the_radius_follow_its_warm_up(options: dict[str, Any], sizes: Any) -> None:
    cell = Cell.from_flat({"train_epsilon": "0..8/255@6", **options})
    assert cell.flat()["attack_step_size"] == sizes
    assert Cell.from_flat(cell.flat()) == cell
    assert cell.in_epoch(3).attack.epsilon == cell.attack.epsilon == 8 / 255


def test_the_radius_of_verdicts_never_changes() -> None:
    with pytest.raises(ValidationError, match="epsilon"):
        Cell.from_flat({"epsilon": "0..8/255@6"})


def test_a_schedule_that_changes_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"beta 1then6@51 is 1 in every epoch of 50; write beta 1"):
        Cell.from_flat({"beta": "1then6@51", "epochs": 50})
    assert Cell.from_flat({"beta": "1then6@50", "epochs": 50}).in_epoch(50).flat()["beta"] == 6


class Bounded(Options):
    positive: NumberOverEpochs = Field(1.0, gt=0, lt=5)
    whole: WholeOverEpochs = Field(0, ge=0, le=5)


@pytest.mark.parametrize(
    ("name", "value", "possible"),
    [
        ("positive", "0..4@3", True),
        ("positive", "0..0@3", False),
        ("positive", "-1..4@3", False),
        ("positive", "1..5@3", True),
        ("positive", "5..5@3", False),
        ("positive", "1..5.1@3", False),
        ("whole", "0then5@3", True),
        ("whole", "0then6@3", False),
        ("whole", "0then1.5@3", False),
        ("whole", "0..2@3", False),
        ("whole", 3, True),
        ("whole", "3", True),
        ("whole", 6, False),
    ],
)
def test_bounds_hold_for_all_values_and_an_excluded_end_for_some(name: str, value: Any, possible: bool) -> None:
    if possible:
        Bounded.model_validate({name: value})
    else:
        with pytest.raises(ValidationError):
            Bounded.model_validate({name: value})


def test_a_number_of_a_method_may_change_wherever_it_is_one() -> None:
    """A weight in one method's loss may not be a constant by accident."""
    weights = {"beta", "pairing", "alignment", "guidance", "smooth", "linearity", "flood", "clean_share"}
    attack = {"attack_step_size", "attack_steps", "train_epsilon"}
    for name in weights | attack | {"reweighting_shift", "omega", "input_noise", "awp_radius", "tau"}:
        method = next((m for m, entry in METHODS.items() if name in entry.options.model_fields), "trades")
        cell = Cell.from_flat({"method": method, name: "0then1@2"})
        assert math.isclose(cell.in_epoch(2).flat()[name], 1), name
        assert OPTION_FIELDS[name].description


@pytest.mark.parametrize(
    ("schedule", "other", "default"),
    [
        ({"method": "fat", "tau": "0then1@51"}, "tau_begin", 5 / 12),
        ({"method": "fat-trades", "tau": "0then1@40"}, "tau_begin", 6 / 17),
        ({"method": "gat", "guidance": "10then40@40"}, "guidance_factor", 4),
    ],
)
def test_a_schedule_replaces_the_methods_own_growth(schedule: dict[str, Any], other: str, default: float) -> None:
    cell = Cell.from_flat({**schedule, "epochs": 120})
    assert cell.flat()[other] == 1
    assert Cell.from_flat(cell.flat()) == cell
    assert Cell.from_flat({"method": schedule["method"]}).flat()[other] == default
    with pytest.raises(ValueError, match=f"{other} .* is impossible with"):
        Cell.from_flat({**schedule, "epochs": 120, other: default})
