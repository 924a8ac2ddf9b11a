"""Each row runs in its smallest size and yields a number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from core.attacks import Pgd
from core.config import Cell, ProtocolOptions, Sweep
from core.data.image_set import ImageSet, to_float
from core.fast import FoldedNetwork
from core.probes import validation_means, validation_sums
from core.records import Outcome
from jobs.speed import subjects, trades_step
from jobs.speed.analysis_cost import EPOCHS, analysis_costs, make_records, measure
from jobs.speed.compile_cache import compile_costs
from jobs.speed.data_path import data_path_shares, run_data_path
from jobs.speed.ddp import ddp_speedups
from jobs.speed.precision import attack_precision, sign_agreement
from jobs.speed.probes import alone, probe_costs, probed
from jobs.speed.result import Result, Settings
from jobs.speed.rows import ROWS, expected, row
from jobs.speed.scale import MEASURES, MIN_TRIALS, growth, scale_costs
from jobs.speed.square import square_speed
from jobs.speed.start_up import start_up_costs
from jobs.speed.trades_step import resnet_steps, small_cnn_steps
from jobs.speed.verdict_agreement import summarise, verdict_agreement

pytestmark = pytest.mark.usefixtures("small_resnet")

ARTIFACTS = 4
"""Files of a finished trial in MLflow."""
MakeSettings = Callable[..., Settings]


def with_options(sweep: Sweep, **options: object) -> Sweep:
    """The sweep of the first cell, with other options."""
    entry = sweep.entries[0]
    changed = entry.model_copy(update={"cell": Cell.from_flat({**entry.cell.flat(), **options})})
    return sweep.model_copy(update={"entries": (changed,)})


def check(results: list[Result], row: str, number: int) -> None:
    assert [result.row for result in results] == [row] * number
    for result in results:
        assert result.values
        assert all(math.isfinite(value) and value > 0 for value in result.values), result
    assert len({result.compared for result in results}) == number


def test_every_row_is_found() -> None:
    assert all(callable(row(name)) for name in ROWS)


def test_the_benchmark_says_how_long_it_takes() -> None:
    said = expected(["square", "probes"])
    assert said.startswith(f"about {ROWS['square'].minutes + ROWS['probes'].minutes} min")
    assert f"square {ROWS['square'].minutes}" in said


@pytest.mark.slow
def test_start_up(settings: MakeSettings) -> None:
    check(list(start_up_costs(settings())), "start-up", 20)


@pytest.mark.slow
def test_trades_small_cnn(settings: MakeSettings) -> None:
    results = list(small_cnn_steps(settings()))
    check(results, "trades-small-cnn", 12)
    assert {result.compared.split(" / ")[0] for result in results} == {"official", "textbook"}
    assert [result.goal for result in results if "textbook" in result.compared] == [None] * 6
    assert "(median) to" in results[0].note


@pytest.mark.slow
@pytest.mark.parametrize("bf16", [False, True])
def test_trades_resnet18(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, bf16: bool) -> None:
    """Processors without bfloat16 have no row for it. With emulation the row can be tested on them, too."""
    monkeypatch.setattr(trades_step, "has_bf16", lambda device: bf16)
    check(list(resnet_steps(settings(resnet_batches=(3, 6)))), "trades-resnet18", 8 if bf16 else 4)


@pytest.mark.slow
def test_without_a_batch_size_one_that_this_machine_bears_is_taken(settings: MakeSettings) -> None:
    results = list(resnet_steps(settings()))
    assert results
    assert all("batch 4," in result.compared for result in results)


@pytest.mark.slow
def test_the_second_trial_of_a_machine_hardly_compiles(settings: MakeSettings) -> None:
    given = settings()
    simpler = with_options(given.fields, norm="none")  # fewer kernels to compile
    results = list(compile_costs(replace(given, fields=simpler)))
    check(results, "compile-cache", 1)
    assert results[0].median > 2  # The value is 6 to 8, and two trials that both compile take the same time.


@pytest.mark.slow
def test_probes(settings: MakeSettings) -> None:
    check(list(probe_costs(settings())), "probes", 4)


def test_probed_measures_what_validation_does(settings: MakeSettings) -> None:
    cell = subjects.fields_cell(settings())
    images = subjects.dataset_of(cell).validation
    model = subjects.make_trainer(cell, torch.device("cpu")).model
    protocol = ProtocolOptions()
    x, y = to_float(images.images), images.labels
    epsilon = cell.attack.epsilon
    attack = Pgd(epsilon=epsilon, step_size=epsilon / 4, steps=10, start="uniform")
    correct, fosc, sgcs = (probed(model, attack, x, y) / len(y)).tolist()
    assert alone(model, attack, x, y) / len(y) == pytest.approx(correct)
    means = validation_means(validation_sums(model, images, epsilon, protocol, seed=0))
    measured = [means[f"val/{name}"] for name in ("pgd10_acc", "fosc", "sgcs")]
    assert [correct, fosc, sgcs] == pytest.approx(measured, rel=1e-4)


def test_square(settings: MakeSettings) -> None:
    check(list(square_speed(settings(), queries=20, epochs=1)), "square", 4)


@pytest.mark.slow
def test_precision(settings: MakeSettings) -> None:
    results = list(attack_precision(settings(), epochs=1))
    assert len(results) == 6
    for signs, accuracies in zip(results[::2], results[1::2], strict=True):
        assert 40 < min(signs.values) <= max(signs.values) <= 100
        assert all(abs(value) < 30 for value in accuracies.values)


def test_float32_agrees_with_itself_in_every_sign() -> None:
    cell = Cell.from_flat({"classes": 5, "train_images": 84, "validation_images": 20, "test_images": 5})
    trainer = subjects.make_trainer(cell, torch.device("cpu"))
    attack, full = trainer.method.inner, FoldedNetwork(trainer.model)
    x, y = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 5
    start = attack.start_points(x, torch.Generator().manual_seed(1))
    half = FoldedNetwork(trainer.model, torch.bfloat16)
    assert sign_agreement(full, full, attack, attack, x, y, start) == [1.0] * attack.steps
    assert min(sign_agreement(full, half, attack, attack, x, y, start)) < 1


@pytest.mark.slow
def test_verdict_agreement(settings: MakeSettings) -> None:
    given = settings(verdict_seeds=1)
    fields = given.fields.model_copy(
        update={"protocol": given.fields.protocol.model_copy(update={"square_queries": 5})}
    )
    results = list(verdict_agreement(replace(given, fields=with_options(fields, epochs=1))))
    assert len(results) == 4
    assert "neither 1" in results[0].note


def _times(number: int, outcome: Outcome) -> list[Outcome]:
    return [outcome] * number


def test_a_summary_of_verdicts_counts_pairs() -> None:
    reference: list[Outcome] = [*_times(3, "unstable"), *_times(5, "stable"), "censored"]
    other: list[Outcome] = [
        "unstable",
        "stable",
        "stable",
        "unstable",
        "stable",
        "stable",
        "stable",
        "healed",
        "stable",
    ]
    same, rate = summarise(reference, other, "bf16", "")
    assert same.values == pytest.approx((100 * 4 / 9,))
    assert rate.values == pytest.approx((100 * (1 - 2) / 8,))
    assert "unstable in both 1, only fp32 2, only bf16 1, neither 4, censored 1" in same.note


def test_data_path(settings: MakeSettings) -> None:
    check(list(data_path_shares(settings())), "data-path", 3)


def test_data_path_takes_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr("jobs.speed.data_path.to_float", lambda images: sizes.append(len(images)))
    images = ImageSet(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.zeros(10, dtype=torch.int64))
    run_data_path(images, 4, torch.Generator())
    assert sizes == [4, 4, 2]


@pytest.mark.slow
def test_ddp(settings: MakeSettings) -> None:
    check([next(ddp_speedups(settings()))], "ddp", 1)  # the second one starts three processes more, for ResNet-18


@pytest.mark.slow
def test_analysis(settings: MakeSettings) -> None:
    check(list(analysis_costs(settings())), "analysis", 5)


@pytest.mark.slow
def test_analysis_measures_time_and_memory_of_the_analysis_alone() -> None:
    def hungry(records: object, path: object) -> None:
        time.sleep(0.2)
        bytearray(b"x" * 200_000_000)

    cost = measure(hungry, 27)
    assert 0.2 <= cost.seconds < 20
    assert 150 < cost.peak - cost.before < 450


def test_synthetic_records_are_whole_sweeps() -> None:
    records = make_records(54)
    assert len({record.cell_id for record in records}) == 27
    assert len({record.key for record in records}) == 54
    whole = [record for record in records if record.verdict and record.verdict.outcome != "censored"]
    assert len(whole) > 40
    assert {len(record.trace) for record in whole} == {EPOCHS}


@pytest.mark.slow
@pytest.mark.cluster
def test_scale(settings: MakeSettings) -> None:
    results = list(scale_costs(settings()))
    assert [result.row for result in results] == ["scale"] * (len(MEASURES) + 1)
    files = next(result for result in results if result.unit == "files")
    assert files.median >= MIN_TRIALS * (1 + ARTIFACTS), "each trial leaves a record and its artifacts in MLflow"
    assert "simulator" in results[-1].compared
    assert results[-1].median > 0


def test_growth_is_measured_beyond_the_smallest_sweep() -> None:
    """A cost of 3 s, and 0.5 s for each of the trials beyond the first 10."""
    grown = growth("time", {size: 3 + 0.5 * (size - 10) for size in (10, 110, 1010)}, "s")
    assert grown.compared == "time; 1,010 trials"
    assert grown.values == (503.0,)
    assert grown.note == (
        "10: 3, 110: 53; 0.5 s per further trial; beyond 10 trials it grows with their number to the power 1.00"
    )
