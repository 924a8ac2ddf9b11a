"""The texts of page and terminal depend on the sweep's design and on the outcomes of its trials."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from analysis.questions.countable_trials import countable_trials
from analysis.questions.rates import cell_rates
from analysis.report.context import ReportContext, report_context
from analysis.report.figures.example_trials import landscape_pair
from analysis.report.html_page import write_report
from analysis.report.sections import TERMINAL_SECTIONS
from analysis.report.sections.self_healing import MAX_RECOVERIES
from analysis.report.terminal_section import section_for_terminal
from analysis.statistics.intervals import interval
from core.config import Cell

pytestmark = pytest.mark.usefixtures("blank_pictures")
WHEN = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def page(tmp_path):
    def write(records, **options):
        defaults = {"sweep": "s", "interval": "blaker", "label": "ever"}
        context = ReportContext(records=records, counted=countable_trials(records)[0], **(defaults | options))
        text = write_report(context, tmp_path / "x.html", generated_at=WHEN).read_text()
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))

    return write


@pytest.mark.slow
def test_a_fixed_design_shows_both_intervals(page, make_sweep):
    records = make_sweep(betas=(1, 6), batch_sizes=(64,), seeds=4)
    text = page(records, level=0.9)
    assert "Intervals: blaker, 90 %, because the number of seeds was fixed in advance." in text
    for cell in cell_rates(records, "ever"):
        other = interval("wilson", cell.unstable, cell.trials, 0.9)
        assert f"[{100 * other.low:.0f}–{100 * other.high:.0f}]" in text
    assert "wilson interval" in text
    assert "blaker interval" in page(records, interval="clopper-pearson")
    assert "the narrower blaker interval holds too" in page(records, interval="anytime")


def test_an_adaptive_design_counts_only_what_does_not_lean(page, make_sweep):
    records = [
        r.model_copy(update={"allocation": "adaptive"}) for r in make_sweep(betas=(1,), batch_sizes=(64,), seeds=5)
    ]
    text = page([r for r in records if r.seed != 2], interval="anytime")
    assert "because this sweep looked at its results" in text
    assert re.search(r"\b2 trials counted", text)
    assert re.search(r"\b2 finished, but not counted before earlier seeds", text)
    assert all(record.key in text for record in records if record.seed != 2), "the list of trials has them all"
    assert "Seeds: 0–1, 3–4" in text


def test_recoveries_are_listed_with_their_evidence(page, make_trial):
    cell = Cell.from_flat({"beta": 1, "epochs": 50})
    healed = make_trial(cell, 3, heal=True)
    text = page([healed, make_trial(cell, 4, probability=0)])
    onset, recovery = healed.verdict.onset_epoch, healed.verdict.recovery_epochs[0]
    before, after = (healed.trace[e - 1]["train/clean_acc"] for e in (recovery - 1, recovery))
    peak = max(row["val/fosc"] for row in healed.trace[onset - 1 : recovery - 1])
    fosc = healed.trace[recovery - 1]["val/fosc"]
    row = f"{onset} {recovery} {peak:.2g} → {fosc:.2g} {100 * (after - before):+.1f} points"
    assert row in text
    assert "seed=3 no" in text
    assert "Recoveries without healing: 1 " in text
    assert "Recoveries" not in page([make_trial(cell, 4, probability=0)])


def test_many_recoveries_are_cut_and_said_to_be(page, make_trial):
    cell = Cell.from_flat({"beta": 1, "epochs": 50})
    text = page([make_trial(cell, seed, heal=True) for seed in range(MAX_RECOVERIES + 2)])
    assert f"The first {MAX_RECOVERIES} of {MAX_RECOVERIES + 2} recoveries." in text


@pytest.mark.slow
def test_cost_is_money_with_a_price(page, make_sweep):
    records = make_sweep(betas=(1,), batch_sizes=(64,), seeds=3)
    seconds = sum(record.device_seconds for record in records)
    assert f"At 7.2 per device-hour, {7.2 * seconds / 3600:.2f} was spent" in page(records, price=7.2)
    assert "per device-hour" not in page(records)


def test_time_that_attempts_lost_is_part_of_the_cost(page, make_sweep):
    records = make_sweep(betas=(1,), batch_sizes=(64,), seeds=2)
    assert "lost by" not in page(records)
    seconds = sum(record.device_seconds for record in records)
    stormy = records[0].model_copy(update={"attempts": 5, "lost_device_seconds": seconds / 4})
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page([stormy, *records[1:]])))
    assert re.search(r"of it lost by 4 restarts .{0,40}25 %", text)
    crashed = records[0].model_copy(update={"attempts": 1, "lost_device_seconds": seconds / 4})
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page([crashed, *records[1:]])))
    assert re.search(r"of it lost (?!by).{0,40}25 %", text)


def test_passes_of_each_cell_are_on_the_page(page, make_trial):
    options = {"beta": 1, "attack_steps": 7, "train_images": 1000, "batch_size": 100, "epochs": 10}
    text = page([make_trial(Cell.from_flat(options), 0, epochs=10)])
    assert re.search(r"9 \+ 1 F\s+7.0\s+10\s+540\s", re.sub(r"<[^>]*>", " ", text)), "6 batches of 9 passes, 10 epochs"


def test_the_paper_beside_it_in_a_terminal(make_trial):
    options = {"dataset": "cifar100", "model": "resnet18", "beta": 3, "batch_size": 256, "lr": 0.1, "epochs": 200}
    records = [make_trial(Cell.from_flat(options), seed, epochs=200) for seed in range(4)]
    context = report_context("s", records)
    console = Console(file=io.StringIO(), width=160)
    for make in TERMINAL_SECTIONS:
        for section in make(context):
            console.print(*section_for_terminal(section), sep="\n")
    said = console.file.getvalue()
    assert "Comparison with the paper" in said
    assert "7/10" in said
    assert f"{context.cells[0].unstable}/4" in said
    assert "reproduced" not in said, "on fewer seeds than the paper"


def stored(record, names=("selected.pt", "last.pt")):
    return record.model_copy(update={"checkpoints": dict.fromkeys(names, "0")})


def test_landscapes_are_of_one_cell_where_one_has_both(make_trial):
    one, two = (Cell.from_flat({"beta": beta, "epochs": 50}) for beta in (1, 2))
    unstable = [stored(make_trial(cell, 0, probability=1)) for cell in (one, two)]
    selected, last = unstable[0].verdict.evidence
    blatant = [replace(m, accuracy=1.0 if m.attack == "fgsm" else 0.0) for m in selected.measurements]
    evidence = (selected.model_copy(update={"measurements": tuple(blatant)}), last)
    unstable[0] = unstable[0].model_copy(
        update={"verdict": unstable[0].verdict.model_copy(update={"evidence": evidence})}
    )
    stable = stored(make_trial(two, 1, probability=0))
    pair = landscape_pair([unstable[0], stable, unstable[1]])
    assert (pair.stable.record, pair.unstable.record) == (stable, unstable[1])
    pair = landscape_pair([unstable[0], stable])
    assert (pair.stable.record, pair.unstable.record) == (stable, unstable[0])
    assert pair.stable.checkpoint == pair.unstable.checkpoint
    assert landscape_pair([unstable[0], stored(make_trial(two, 1, probability=0), ())]) is None
    other = Cell.from_flat({"beta": 1, "epochs": 50, "epsilon": 0.3})
    assert landscape_pair([unstable[0], stored(make_trial(other, 1, probability=0))]) is None
    assert landscape_pair([stable]) is None


def test_landscapes_are_of_the_checkpoint_that_hides_most(make_trial):
    cell = Cell.from_flat({"beta": 1, "epochs": 50})
    stable, unstable = (stored(make_trial(cell, seed, probability=p)) for seed, p in ((0, 0), (1, 1)))
    selected, last = unstable.verdict.evidence
    honest = tuple(replace(m, accuracy=0.3) for m in selected.measurements)
    for mild, expected in (("selected", "last"), ("last", "selected")):
        evidence = tuple(
            e.model_copy(update={"measurements": honest}) if e.checkpoint == mild else e for e in (selected, last)
        )
        trial = unstable.model_copy(update={"verdict": unstable.verdict.model_copy(update={"evidence": evidence})})
        assert landscape_pair([stable, trial]).unstable.checkpoint == expected


def test_a_sweep_with_pinned_seeds_has_a_page(page, make_sweep):
    records = [
        record.model_copy(update={"pins": {"init": record.seed // 2}})
        for record in make_sweep(betas=(1,), batch_sizes=(64,), seeds=6, audit_every=1)
    ]
    text = page(records, interval="clustered")
    assert "because trials that share a pinned seed are not independent" in text
    assert "Sources of randomness" in text


def test_what_a_sweep_does_not_have_is_not_on_its_page(page, make_sweep):
    text = page(make_sweep(betas=(1,), batch_sizes=(64,), seeds=3))
    assert not re.search(r"\b0 (healed|censored|running)\b", text)
    assert "0/0" not in text
