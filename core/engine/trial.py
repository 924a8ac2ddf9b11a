"""One trial from first epoch to verdict, on one DDP rank. Knows no Ray: whoever runs it passes what it needs."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from core.config import ProtocolOptions, Trial
from core.data import Dataset, ImageSet
from core.engine.checkpoint_state import Best, Progress, Weights, copy_weights, pack, unpack
from core.engine.filenames import RECORD, RESUME
from core.engine.provenance import provenance
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Row, Trainer
from core.models import build_model
from core.probes import collect_evidence, validation_means, validation_sums
from core.records import CheckpointName, Evidence, TrialRecord, Verdict, read_record
from core.storage import CorruptFileError, Store
from core.verdict import FoscDetector, censor, confirms_alarm, judge

Report = Callable[[int, list[Row], bool], None]
"""Called on every rank at the same points with the last epoch, the rows since the last call, and whether the trial is
decided and about to end."""


@dataclass(frozen=True)
class Cadence:
    """How often a trial speaks and saves, in seconds; epochs shorter than that are reported together."""

    report_s: float = 1.0
    checkpoint_s: float = 20.0


@dataclass(frozen=True)
class TrialContext:
    """What a trial needs and does not own.

    Attributes:
        sweep: name of the sweep.
        store: the trial's own store.
        ranks: this rank's place among the trial's workers.
        report: see `Report`.
        commit: git commit of the driver's code.
        timeout_s: training seconds after which the trial is censored; None: never.
    """

    sweep: str
    store: Store
    ranks: Ranks
    report: Report
    commit: str
    cadence: Cadence = Cadence()
    timeout_s: float | None = None


def run_trial(trial: Trial, protocol: ProtocolOptions, dataset: Dataset, around: TrialContext) -> TrialRecord | None:
    """Train, watch and judge one trial; go on from its last checkpoint if there is one.

    Returns:
        The record, on the leading rank; None on the others.
    """
    finished = around.store.read(RECORD) if around.ranks.leads else None
    if around.ranks.from_leader(finished is not None):
        return read_record(finished) if finished else None
    return TrialRun(trial, protocol, dataset, around).run()


class TrialRun:
    """The loop of `run_trial`, with its state."""

    def __init__(self, trial: Trial, protocol: ProtocolOptions, dataset: Dataset, around: TrialContext) -> None:
        self.trial, self.protocol, self.around = trial, protocol, around
        self.ranks = around.ranks
        device = self.ranks.device
        self.train, self.validation = dataset.train.to(device), dataset.validation.to(device)
        self.test = dataset.test.to(device)
        self._start_anew()
        self.progress = self._resume()
        self.progress.attempts += 1
        self._unreported: list[Row] = []
        self._decided = False
        self._reported_at = self._saved_at = self._counted_at = time.monotonic()

    def _start_anew(self) -> None:
        cell, protocol = self.trial.cell, self.protocol
        streams = Streams.spawn(self.trial.seed, self.trial.pins)
        model = build_model(cell.model, cell.data.shape, streams.integer("init"))
        self.trainer = Trainer(cell, model, streams, self.ranks)
        self.detector = FoscDetector(
            threshold=protocol.fosc_threshold, patience=protocol.fosc_patience, grace=protocol.fosc_grace
        )
        self.parts: dict[str, Any] = {**self.trainer.parts, "detector": self.detector}

    def run(self) -> TrialRecord | None:
        """Run to the end or to the verdict that makes going on pointless."""
        while self.progress.epoch < self.trial.cell.training.epochs:
            row = self._epoch()
            reason = self._failure(row)
            if reason:
                return self._finish(censor(reason, self.detector), stopped_early=False)
            self._decided = self._confirmed_alarm() and self._may_stop
            if self._decided:
                break
            self._report_and_save()
        verdict = self.ranks.from_leader(self._judge() if self.ranks.leads else None)
        assert verdict is not None
        last_epoch = self.progress.epoch == self.trial.cell.training.epochs
        return self._finish(verdict, stopped_early=self._decided and not last_epoch)

    @property
    def _may_stop(self) -> bool:
        """Healing needs the epochs after an alarm, an audit all of them."""
        return self.protocol.stop and not self.trial.audit and self.trial.cell.heal.heal == "none"

    def _epoch(self) -> Row:
        progress, protocol, cell = self.progress, self.protocol, self.trial.cell
        epoch = progress.epoch + 1
        steps = self.trainer.steps_per_epoch(len(self.train))
        noisy_batches = min(progress.noisy_batches, steps)
        progress.noisy_batches -= noisy_batches
        row, gradients = self.trainer.run_epoch(
            self.train,
            epoch,
            noisy_batches=noisy_batches,
            gradient_stride=protocol.gradient_stride,
            first_step=progress.step,
        )
        if cell.heal.heal == "fosc":
            row["heal/noisy_batches"] = noisy_batches
        started = time.perf_counter()
        self.ranks.copy_buffers(self.trainer.model)
        sums = validation_sums(
            self.trainer.model,
            self.validation,
            cell.attack.epsilon,
            protocol,
            seed=protocol.eval_seed,
            rank=self.ranks.rank,
            workers=self.ranks.workers,
        )
        row |= validation_means(self.ranks.sum(sums))
        row["time/eval_s"] = time.perf_counter() - started
        if gradients:
            names = gradients[0].keys() - {"step", "epoch"}
            row |= {f"grad/{name}": sum(g[name] or 0.0 for g in gradients) / len(gradients) for name in sorted(names)}
        row = {"epoch": epoch, **{name: _finite(value) for name, value in row.items()}}
        self.detector.update(epoch, row)
        self._select(row)
        if cell.heal.heal == "fosc" and self._masked(row):
            progress.noisy_batches = cell.heal.heal_batches
        progress.epoch = epoch
        progress.step += steps
        progress.rows.append(row)
        progress.gradients += [{name: _finite(value) for name, value in g.items()} for g in gradients]
        self._unreported.append(row)
        now = time.monotonic()
        progress.device_seconds += (now - self._counted_at) * self.ranks.workers
        self._counted_at = now
        return row

    def _select(self, row: Row) -> None:
        accuracy, epoch = row["val/pgd10_acc"] or 0.0, int(row["epoch"] or 0)
        self.progress.selected.offer(accuracy, epoch, self.trainer.model)
        if not self._masked(row):
            self.progress.gated.offer(accuracy, epoch, self.trainer.model)

    def _masked(self, row: Row) -> bool:
        return row["val/fosc"] is None or row["val/fosc"] > self.protocol.fosc_threshold

    def _failure(self, row: Row) -> str | None:
        for name in ("train/loss", "val/clean_loss"):
            if row[name] is None:
                return f"diverged: {name} of epoch {self.progress.epoch} is not finite"
        limit = self.around.timeout_s
        spent = self.progress.device_seconds / self.ranks.workers
        if self.ranks.from_leader(limit is not None and spent > limit):
            return f"timeout: {limit:g} s passed in epoch {self.progress.epoch}"
        return None

    def _confirmed_alarm(self) -> bool:
        """Measure Square and its company on validation images while an alarm lasts; True once they confirm it."""
        if not self.detector.active:
            return False
        alarms, protocol = self.progress.alarms, self.protocol
        since_onset = [alarm for alarm in alarms if alarm.epoch >= self.detector.onset_epochs[-1]]
        if any(confirms_alarm(alarm, protocol) for alarm in since_onset):
            return True
        if since_onset and self.progress.epoch - since_onset[-1].epoch < protocol.confirm_every:
            return False
        evidence = self._measure(None, self.validation, "alarm", self.progress.epoch)
        alarms.append(evidence)
        return confirms_alarm(evidence, protocol)

    def _judge(self) -> Verdict:
        last = self.progress.epoch
        measured: dict[int, Evidence] = {}
        evidence = list(self.progress.alarms)
        kept: dict[CheckpointName, Best | None] = {"selected": self.progress.selected, "gated": self.progress.gated}
        for name, best in {**kept, "last": None}.items():
            epoch = best.epoch if best else last
            if best and best.weights is None:
                continue
            if epoch not in measured:
                measured[epoch] = self._measure_here(best.weights if best else None, self.test, name, epoch)
            evidence.append(measured[epoch].model_copy(update={"checkpoint": name}))
        return judge(tuple(evidence), self.detector, self.protocol)

    def _measure(self, weights: Weights | None, images: ImageSet, checkpoint: CheckpointName, epoch: int) -> Evidence:
        here = self._measure_here(weights, images, checkpoint, epoch) if self.ranks.leads else None
        evidence = self.ranks.from_leader(here)
        assert evidence is not None
        return evidence

    def _measure_here(
        self, weights: Weights | None, images: ImageSet, checkpoint: CheckpointName, epoch: int
    ) -> Evidence:
        """Evidence on the same first `verdict_images` images, for other weights than the current ones if given."""
        model = self.trainer.model
        current = copy_weights(model) if weights else None
        if weights:
            model.load_state_dict(weights)
        chosen = images.take(torch.arange(min(self.protocol.verdict_images, len(images)), device=self.ranks.device))
        evidence = collect_evidence(
            model,
            chosen.images,
            chosen.labels,
            self.trial.cell.attack.epsilon,
            self.protocol,
            seed=self.protocol.eval_seed,
            checkpoint=checkpoint,
            epoch=epoch,
            split="test" if images is self.test else "validation",
        )
        if current:
            model.load_state_dict(current)
        return evidence

    def _report_and_save(self) -> None:
        now = time.monotonic()
        cadence = self.around.cadence
        due = (now - self._reported_at >= cadence.report_s, now - self._saved_at >= cadence.checkpoint_s)
        report_due, save_due = self.ranks.from_leader(due)
        if report_due:
            self._report(now)
        if save_due:
            if self.ranks.leads:
                self.around.store.write_sealed(RESUME, pack(self.progress, self.parts))
            self._saved_at = now

    def _report(self, now: float) -> None:
        self.around.report(self.progress.epoch, self._unreported, self._decided)
        self._unreported = []
        self._reported_at = now

    def _resume(self) -> Progress:
        checkpoint = None
        if self.ranks.leads:
            try:
                checkpoint = self.around.store.read_sealed(RESUME)
            except CorruptFileError as error:
                print(f"{error}; the trial starts anew", flush=True)
        checkpoint = self.ranks.from_leader(checkpoint)
        if checkpoint is None:
            return Progress()
        try:
            return unpack(checkpoint, self.parts)
        except Exception as error:  # whole bytes, but of another version or by another hand; the same on every rank
            where = f"{self.around.store.root}/{RESUME}"
            print(f"{where} is no checkpoint of this trial ({type(error).__name__}); the trial starts anew", flush=True)
            self._start_anew()
            return Progress()

    def _finish(self, verdict: Verdict, *, stopped_early: bool) -> TrialRecord | None:
        self._report(time.monotonic())
        if not self.ranks.leads:
            return None
        progress, trial, store = self.progress, self.trial, self.around.store
        progress.device_seconds += (time.monotonic() - self._counted_at) * self.ranks.workers
        weights = {"last": (progress.epoch, copy_weights(self.trainer.model))}
        for name, best in (("selected", progress.selected), ("gated", progress.gated)):
            if best.weights is not None:
                weights[name] = (best.epoch, best.weights)
        record = TrialRecord(
            sweep=self.around.sweep,
            **trial.record_fields(),
            protocol=self.protocol.model_dump(mode="json"),
            verdict=verdict,
            epochs_run=progress.epoch,
            stopped_early=stopped_early,
            trace=progress.rows,
            gradients=progress.gradients,
            device_seconds=progress.device_seconds,
            attempts=progress.attempts,
            checkpoints={f"{name}.pt": self._write_weights(name, *kept) for name, kept in weights.items()},
            provenance=provenance(self.ranks, self.around.commit),
        )
        store.write(RECORD, record.model_dump_json().encode())
        store.delete(RESUME)
        return record

    def _write_weights(self, name: str, epoch: int, weights: Weights) -> str:
        buffer = io.BytesIO()
        torch.save({"cell": self.trial.cell.flat(), "seed": self.trial.seed, "epoch": epoch, "model": weights}, buffer)
        return self.around.store.write(f"{name}.pt", buffer.getvalue())


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None
