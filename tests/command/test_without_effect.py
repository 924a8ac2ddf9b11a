"""A flag that can change nothing in its sweep is refused, with what it needs."""

from __future__ import annotations

import pytest

from core.command.request import read_request
from jobs.sweep_trades import PRESETS


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
    ],
)
def test_a_flag_with_an_effect_is_taken(words: str) -> None:
    assert read_request(words.split(), PRESETS, "").sweep.entries
