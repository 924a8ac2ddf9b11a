"""Agreement of the verdicts of trials trained in float32, in bfloat16, and in float32 with other rounding."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence

from core.config import Cell, ProtocolOptions, Trial
from core.data.image_set import Dataset
from core.engine.ranks import Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.records import Outcome
from core.storage import Store
from jobs.speed.paired import PairedCounts
from jobs.speed.result import Result, Settings
from jobs.speed.subjects import dataset_of, one_thread

REFERENCE = "fp32"
VARIANTS: dict[str, dict[str, object]] = {
    REFERENCE: {"precision": "fp32", "fast": True},
    "bf16": {"precision": "bf16", "fast": True},
    "fp32 --no-fast": {"precision": "fp32", "fast": False},
}
"""The last variant is the control: it differs from the reference by rounding only."""
FIRST_SEED = 1000
"""First seed; the seeds are disjoint from those on which preset fields-quick's thresholds were set."""


def verdict_agreement(settings: Settings) -> Iterator[Result]:
    """All cells of preset fields-quick with ``settings.verdict_seeds`` seeds each, in all variants, to the last epoch.

    Trials run one after the other in this process, without Ray, tracking and early stopping; everything else is the
    sweep's own code. All attacks of a verdict run in float32, also after training in bfloat16.
    """
    cells = [entry.cell for entry in settings.fields.entries]
    datasets = [dataset_of(cell) for cell in cells]
    outcomes: dict[str, list[Outcome]] = {name: [] for name in VARIANTS}
    seconds = dict.fromkeys(VARIANTS, 0.0)
    for seed in range(FIRST_SEED, FIRST_SEED + settings.verdict_seeds):
        for cell, dataset in zip(cells, datasets, strict=True):
            for name, options in VARIANTS.items():
                started = time.perf_counter()
                variant = Cell.from_flat({**cell.flat(), **options})
                outcomes[name].append(run_alone(variant, seed, settings.fields.protocol, dataset, settings))
                seconds[name] += time.perf_counter() - started
            shown = ", ".join(f"{name} {found[-1]}" for name, found in outcomes.items())
            setting = f"beta {cell.flat()['beta']:g}, batch {cell.training.batch_size}, seed {seed}"
            settings.say(f"verdict-agreement: {setting}: {shown}")
    for name in list(VARIANTS)[1:]:
        speed = f"{REFERENCE} took {seconds[REFERENCE] / seconds[name]:.2f} times the seconds"
        yield from summarise(outcomes[REFERENCE], outcomes[name], name, speed)


def run_alone(cell: Cell, seed: int, protocol: ProtocolOptions, dataset: Dataset, settings: Settings) -> Outcome:
    """Outcome of one trial, with one thread and without early stopping."""
    with one_thread(), tempfile.TemporaryDirectory(prefix="unmask-benchmark-") as folder:
        around = TrialContext(
            sweep="verdict-agreement",
            store=Store(folder),
            ranks=Ranks(device=settings.device),
            report=lambda epoch, rows, decided: None,
            commit="",
            cadence=Cadence(checkpoint_s=1e9),
        )
        whole = protocol.model_copy(update={"stop": False})
        record = run_trial(Trial(cell=cell, seed=seed), whole, lambda: dataset, around)
    assert record is not None
    assert record.verdict is not None
    return record.verdict.outcome


def summarise(reference: Sequence[Outcome], other: Sequence[Outcome], name: str, note: str) -> Iterator[Result]:
    """The share of equal outcomes, and the difference of the rates of unstable trials with its interval."""
    pairs = list(zip(reference, other, strict=True))
    known = [(a == "unstable", b == "unstable") for a, b in pairs if "censored" not in (a, b)]
    counts = PairedCounts(*(known.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))))
    setting = f"{len(pairs)} trials of the preset fields-quick, {REFERENCE} and {name}"
    table = f"unstable in both {counts.both}, only {REFERENCE} {counts.first}, only {name} {counts.second}, "
    table += f"neither {counts.neither}, censored {len(pairs) - len(known)}; {note}"
    same = sum(a == b for a, b in pairs)
    yield Result("verdict-agreement", f"same outcome; {setting}", (100 * same / len(pairs),), "%", None, table)
    low, high = counts.interval()
    interval = f"95 % interval {100 * low:+.1f} to {100 * high:+.1f} points (Newcombe's for pairs)"
    yield Result(
        "verdict-agreement",
        f"rate of unstable trials, {name} minus {REFERENCE}; {setting}",
        (100 * counts.difference,),
        "%",
        None,
        f"{interval}; McNemar's exact test: p = {counts.p_value():.2g}",
    )
