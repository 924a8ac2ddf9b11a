"""A flag that can change nothing in its sweep is refused, with what it needs."""

from __future__ import annotations

import pytest

from core.command.request import read_request
from core.config import load_preset
from jobs.sweep_trades import PRESETS, main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--simulations 50", "--simulations 50: needs --plan"),
        ("--min-seeds nan", "--min-seeds nan: needs --until-width or"),
        ("--give-up 1e", "--give-up 1e: needs --until-width or"),
        ("--fosc-patience 1000", "--fosc-patience 1000: an alarm is possible from epoch 1005 on .* has 20 epochs"),
        ("--fosc-grace 29", r"--fosc-grace 29: an alarm is possible from epoch 31 on"),
        ("--schedule step --milestones 30", "--milestones 30: nothing is trained after epoch 30"),
        ("--audit 0.5 --no-stop", "--audit 0.5: has no effect with --no-stop"),
        ("--heal-noise 0.2", "--heal-noise 0.2: needs --heal fosc"),
        ("--rademacher-share 0.3", "--rademacher-share 0.3: needs --attack-start rademacher"),
        ("--awp-warmup 3", "--awp-warmup 3: needs --awp-radius or --rwp-radius above 0"),
        ("--schedule constant --lr-decay 0.5", "--lr-decay 0.5: needs --schedule step"),
        ("--method gairat --attack-steps 4 --reweighting discrete --reweighting-shift -2", "needs --reweighting tanh"),
        (
            "--method trades gairat --attack-steps 4 --reweighting discrete --reweighting-shift -2",
            "--reweighting-shift -2: needs --reweighting tanh",
        ),
        ("--method gat --guidance-factor 1 --guidance-begin 0.5", "--guidance-begin 0.5: needs a --guidance-factor"),
        ("--method gat --guidance-begin 1 --guidance-factor 2", "--guidance-factor 2: needs --guidance-begin below 1"),
        ("--method fat --tau-begin 1 --tau-every 0.5", "--tau-every 0.5: needs --tau-begin below 1"),
        ("--method iseat --awp-radius 0 --adv-at original", "--adv-at original: needs --awp-radius or --rwp-radius"),
        ("--method iseat --smooth 0 --smooth-weights top", "--smooth-weights top: needs --smooth above 0"),
        ("--method seat --linearity 0 --linearity-form official", "--linearity-form official: needs --linearity above"),
        ("--max-trials 3", "--max-trials 3: the sweep has 4 cells"),
        (
            "--preset fields-quick --train-images 10000000 --image-size 512 --channels 16",
            "--train-images 10000000: the generated images would take .* TB of memory; allowed is 1 TB",
        ),
        (
            "--preset fields-quick --test-images 100 --verdict-images 101",
            "--verdict-images 101: the test set has 100 images",
        ),
        ("--device-tflops 20", "--device-tflops 20: needs --dry-run, or --plan with --assume-rate"),
        ("--plan --pilot quick --until-width 0.4 --device-tflops 20", "--device-tflops 20: needs --dry-run"),
        ("--download", "--download: needs a data set with files; digits have none"),
        ("--beta 1 1", "--beta 1 1: 1 is there twice"),
        ("--epochs 7 07", "--epochs 7 07: 7 and 07 are the same value"),
        ("--epsilon 1/10 0.2 0.1", "--epsilon 1/10 0.2 0.1: 1/10 and 0.1 are the same value"),
        ("--method trades trades", "--method trades trades: trades is there twice"),
        ("--attack-step-size epsilon/4 epsilon/4", "epsilon/4 is there twice"),
        ("--pin-seed init init", "--pin-seed init init: init is there twice"),
    ],
)
def test_a_flag_without_effect_is_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_request(words.split(), PRESETS, "")


@pytest.mark.parametrize(
    "words",
    [
        "--plan --simulations 50 --until-width 0.4 --assume-rate 0.5",
        "--until-width 0.4 --min-seeds 4 --give-up 3",
        "--fosc-grace 18",
        "--schedule step --milestones 19",
        "--audit 0 --no-stop",
        "--heal none fosc --heal-noise 0.2",
        "--attack-start gaussian rademacher --rademacher-share 0.3",
        "--method iseat --smooth 0 0.1 --smooth-weights top",
        "--method gat --guidance-factor 1 4 --guidance-begin 0.5",
        "--max-trials 4",
        "--dry-run --device-tflops 20",
        "--plan --until-width 0.4 --assume-rate 0.5 0.5 0.5 0.5 --device-tflops 20",
        "--preset cifar10 --dataset cifar10 digits --download --verdict-images 2000 --dry-run",
        "--epsilon 0.1 0.2 --beta 1 6",
    ],
)
def test_a_flag_with_an_effect_is_taken(words: str) -> None:
    assert read_request(words.split(), PRESETS, "").sweep.entries


@pytest.mark.parametrize(
    ("words", "notes"),
    [
        ("--epochs 3", ["--fosc-patience 2 --fosc-grace 5 (default): an alarm is possible from epoch 7 on"]),
        ("--epochs 7", []),
        ("--fosc-grace 4 --epochs 3 10", ["4 of 8 cells: --fosc-patience 2 --fosc-grace 4: an alarm is possible"]),
        ("--preset cifar10 --epochs 10", ["--milestones 20 25 (preset cifar10): nothing is trained after epoch 25"]),
        (
            "--preset cifar10 --epochs 22 25 30",
            [
                "for 2 of 6 cells: --milestones 20 25 (preset cifar10): nothing is trained after epoch 25, because "
                "training has 22 epochs",
                "because training has 25 epochs",
            ],
        ),
        ("--preset iseat-table1 --epochs 10", ["--milestones 100 150 (preset iseat-table1): nothing is trained"]),
        (
            "--preset cifar10 --dataset digits --validation-images 200",
            ["--verdict-images 1000 (preset cifar10): the test set has 360 images"],
        ),
        ("--verdict-images 400000", ["--verdict-images 400000: the test set has 360 images"]),
        ("--preset cifar10 --verdict-images 20000", ["--verdict-images 20000: the test set has 10000 images"]),
        ("--verdict-images 400 --validation-images 400", []),
        ("--preset table7 --awp-radius 0", ["--awp-warmup 9 (preset table7): needs --awp-radius or --rwp-radius"]),
        ("--preset table7 --awp-radius 0 0.005", []),
        ("--preset table5 --schedule step --milestones 50", []),
    ],
)
def test_a_value_that_loses_its_effect_beside_a_flag_is_said(words: str, notes: list[str]) -> None:
    lines = read_request([*words.split(), "--dry-run"], PRESETS, "").lost_effects
    assert len(lines) == len(notes)
    assert all(line.startswith("Note") and note in line for line, note in zip(lines, notes, strict=True)), lines


@pytest.mark.parametrize(
    "preset", sorted(file.stem for file in PRESETS.glob("*.yaml") if not load_preset(file.stem, PRESETS).earlier)
)
def test_no_value_of_a_shipped_preset_is_without_effect(preset: str) -> None:
    """Presets of earlier trials take the cells from another sweep.

    `surrogates-quick` trains for fewer epochs than an alarm needs, and does not stop at alarms.
    """
    lines = read_request(["--preset", preset, "--dry-run"], PRESETS, "").lost_effects
    assert not [line for line in lines if preset != "surrogates-quick" or "an alarm is possible" not in line]


@pytest.mark.parametrize(
    "job", [["--seeds", "1", "--dry-run"], ["--plan", "--until-width", "0.9", "--assume-rate", "0"]]
)
def test_the_note_is_printed(capsys: pytest.CaptureFixture[str], job: list[str]) -> None:
    assert main(["--preset", "fields-quick", "--epochs", "3", *job]) == 0
    assert "Note: --fosc-patience 2 --fosc-grace 5 (default): an alarm" in capsys.readouterr().out
