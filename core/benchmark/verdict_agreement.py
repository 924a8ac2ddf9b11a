"""Verdicts of the same trials, trained in float32 and in bfloat16."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from core.benchmark.paired import PairedCounts
from core.benchmark.result import Result, Settings
from core.benchmark.subjects import dataset_of, one_thread
from core.config import Cell, Trial
from core.engine.ranks import Ranks
from core.engine.trial import Cadence, Surroundings, run_trial
from core.records import TrialRecord
from core.storage import Store

PRECISIONS = ("fp32", "bf16")
FIRST_SEED = 1000
"""Far from the seeds on which the quick preset's thresholds were set."""


def verdict_agreement(settings: Settings) -> Iterator[Result]:
    """All cells of the quick preset with ``settings.verdict_seeds`` seeds each, in either precision, to their end.

    Trials run one after the other in this process, without Ray, tracking and early stopping; everything else is the
    sweep's own code. All attacks of a verdict are in float32 either way.
    """
    protocol = settings.quick.protocol.model_copy(update={"stop": False})
    pairs: list[tuple[TrialRecord, TrialRecord]] = []
    seconds = dict.fromkeys(PRECISIONS, 0.0)
    with one_thread(), tempfile.TemporaryDirectory(prefix="unmask-benchmark-") as folder:
        datasets = [dataset_of(entry.cell) for entry in settings.quick.entries]
        for seed in range(FIRST_SEED, FIRST_SEED + settings.verdict_seeds):
            for entry, dataset in zip(settings.quick.entries, datasets, strict=True):
                records = []
                for precision in PRECISIONS:
                    trial = Trial(cell=Cell.from_flat({**entry.cell.flat(), "precision": precision}), seed=seed)
                    around = Surroundings(
                        sweep="verdict-agreement",
                        store=Store(str(Path(folder) / trial.key)),
                        ranks=Ranks(device=settings.device),
                        report=lambda epoch, rows, decided: None,
                        commit="",
                        cadence=Cadence(checkpoint_s=1e9),
                    )
                    started = time.perf_counter()
                    record = run_trial(trial, protocol, dataset, around)
                    seconds[precision] += time.perf_counter() - started
                    assert record is not None
                    records.append(record)
                pairs.append((records[0], records[1]))
                settings.say(f"verdict-agreement: pair {len(pairs)}, {_shown(records[0])} | {_shown(records[1])}")
    yield from summarise(pairs, seconds["fp32"] / seconds["bf16"])


def summarise(pairs: list[tuple[TrialRecord, TrialRecord]], speed: float) -> Iterator[Result]:
    """Agreement of outcomes, and the difference of the rates with its interval."""
    judged = [(_unstable(one), _unstable(other)) for one, other in pairs]
    known = [(one, other) for one, other in judged if one is not None and other is not None]
    counts = PairedCounts(
        both=known.count((True, True)),
        first=known.count((True, False)),
        second=known.count((False, True)),
        neither=known.count((False, False)),
    )
    same = sum(one.verdict.outcome == other.verdict.outcome for one, other in pairs if one.verdict and other.verdict)
    setting = f"{len(pairs)} trials of the quick preset, each in fp32 and bf16"
    table = f"unstable in both {counts.both}, only fp32 {counts.first}, only bf16 {counts.second}, neither "
    table += f"{counts.neither}, censored {len(pairs) - len(known)}; fp32 took {speed:.2f} times bf16's seconds"
    yield Result("verdict-agreement", f"same outcome; {setting}", (100 * same / len(pairs),), "%", None, table)
    low, high = counts.interval()
    note = f"95 % interval {100 * low:+.1f} to {100 * high:+.1f} points (Newcombe's for pairs); McNemar's exact test: "
    note += f"p = {counts.p_value():.2g}"
    compared = f"rate of unstable trials, bf16 minus fp32; {setting}"
    yield Result("verdict-agreement", compared, (100 * counts.difference,), "%", None, note)


def _unstable(record: TrialRecord) -> bool | None:
    assert record.verdict is not None
    return None if record.verdict.outcome == "censored" else record.verdict.outcome == "unstable"


def _shown(record: TrialRecord) -> str:
    assert record.verdict is not None
    last = [evidence for evidence in record.verdict.evidence if evidence.checkpoint == "last"]
    measured = {m.attack: f"{m.accuracy:.3f}" for m in last[0].measurements} if last else {}
    cell = record.cell
    setting = f"beta {cell['beta']:g} batch {cell['batch_size']} seed {record.seed} {cell['precision']}"
    return f"{setting} {record.verdict.outcome} {measured}"
