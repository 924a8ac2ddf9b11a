"""One trial on one DDP rank, from its first epoch to its verdict. It does not use Ray."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from core.config import ProtocolOptions, Trial
from core.config.cell import digest
from core.data.fingerprint import fingerprint
from core.data.image_set import Dataset
from core.engine.attempts import AttemptClock, AttemptFile
from core.engine.checkpoint_writer import CheckpointWriter
from core.engine.determinism import deterministic
from core.engine.device import peak_memory
from core.engine.epoch_row import finite, gradient_means, validation_row
from core.engine.filenames import RESUME
from core.engine.placebo import change_by_rounding
from core.engine.provenance import provenance
from core.engine.record_file import RecordFile
from core.engine.resume import ResumeFiles
from core.engine.seeding import Streams
from core.engine.selection import is_masked
from core.engine.state_files import delete_state
from core.engine.trainer import Trainer
from core.engine.trial_context import TrialContext
from core.engine.trial_state import TrialState, unpack
from core.engine.verdict_measurement import VerdictMeasurement
from core.models import build_model
from core.records import Row, TrialRecord, Verdict
from core.storage import CorruptFileError
from core.verdict import build_detector, censor


def run_trial(
    trial: Trial, protocol: ProtocolOptions, load: Callable[[], Dataset], context: TrialContext
) -> TrialRecord | None:
    """Train, monitor and judge one trial, starting from its last checkpoint if there is one.

    A trial that runs out of memory is censored, because another attempt with the same share of the same device would
    run out of memory again. Its checkpoint stays, and a later run of the sweep continues it.

    Args:
        trial: the trial.
        protocol: how it is judged.
        load: returns its images. The time that this takes belongs to the attempt.
        context: its surroundings.

    Returns:
        The record on the leading rank, and None on the other ranks.

    Raises:
        ValueError: the stored record is damaged, or belongs to another trial, sweep or protocol; or a rank has loaded
            other images than the leading rank.
        torch.OutOfMemoryError: on one of several ranks, whose group has to end. The record is written.
    """
    file = RecordFile(trial, protocol, context)
    finished = file.read() if context.ranks.leads else None
    attempts = AttemptFile(context.store, trial.key)
    if finished and not finished.crashed:
        delete_state(context.store)
    if context.ranks.from_leader(finished is not None):
        return finished
    with AttemptClock(attempts if context.ranks.leads else None, context.devices, context.began, _say) as clock:
        try:
            return TrialRun(trial, protocol, load(), context, clock).run()
        except torch.OutOfMemoryError:
            # Only the leading rank's clock knows the attempts that ended before their first checkpoint.
            record = file.write_out_of_memory(clock.attempts if context.ranks.leads else attempts.read())
            if context.ranks.workers > 1:
                raise
            return record


class TrialRun:
    """The training loop of `run_trial` and its state."""

    def __init__(
        self, trial: Trial, protocol: ProtocolOptions, dataset: Dataset, context: TrialContext, clock: AttemptClock
    ) -> None:
        self.trial, self.protocol, self.context, self.clock = trial, protocol, context, clock
        self.ranks = context.ranks
        self.dataset = dataset.to(self.ranks.device)
        data = self._fingerprint()
        owner = {"trial": trial.key, "protocol": digest(protocol.model_dump(mode="json")), "data": data}
        self.files = ResumeFiles(context.store, owner)
        self.record = RecordFile(trial, protocol, context)
        self._build()
        self.state = self._resume()
        self._begin_attempt(data)
        self._unreported: list[Row] = []
        self._saved = self.state.epoch
        self._decided = False
        self._writer = CheckpointWriter(self.files.write, context.cadence.checkpoint_s)
        self._reported_at = time.monotonic()

    def _fingerprint(self) -> str:
        """The fingerprint of the images, which all ranks must share."""
        mine = fingerprint(self.dataset)
        leading = self.ranks.from_leader(mine)
        if mine != leading:
            raise ValueError(
                f"the images of rank {self.ranks.rank} (fingerprint {mine}) are not those of rank 0 ({leading})"
            )
        return mine

    def _build(self) -> None:
        """Create the trial's parts in their state before the first epoch."""
        cell, protocol = self.trial.cell, self.protocol
        streams = Streams.spawn(self.trial.seed, self.trial.pins)
        model = build_model(cell.model, cell.data.shape, streams.integer("init"))
        if self.context.start:
            model.load_state_dict(self.context.start.weights)
        if cell.heal.heal == "placebo":
            change_by_rounding(model)
        self.trainer = Trainer(cell, model, streams, self.ranks)
        self.detector = build_detector(protocol)
        epsilon = cell.attack.epsilon
        self.measurement = VerdictMeasurement(self.trainer.measured, self.dataset, epsilon, protocol, self.ranks)
        self.parts: dict[str, Any] = {**self.trainer.parts, "detector": self.detector}

    def _begin_attempt(self, data: str) -> None:
        """Count this attempt, and the work that earlier attempts lost.

        Args:
            data: fingerprint of the images.
        """
        state = self.state
        state.lost_device_seconds += self.clock.resume(state.attempts, state.device_seconds)
        state.attempts = self.clock.attempts.number
        mine = provenance(self.ranks, self.context.commit, self.trial.cell) | {"data": data}
        state.took_part = [*(earlier for earlier in state.took_part if earlier != mine), mine]

    def run(self) -> TrialRecord | None:
        """Train until the last epoch, or until a confirmed alarm decides the verdict."""
        with self._writer, deterministic(self.ranks.device):
            return self._run()

    def _run(self) -> TrialRecord | None:
        epochs = self.trial.cell.training.epochs
        self._decided = self._may_stop and self._is_decided()
        while not self._decided and self.state.epoch < epochs:
            row = self._epoch()
            reason = self._failure(row)
            if reason:
                return self._finish(censor(reason, self.detector), stopped_early=False)
            self._decided = self._is_decided()
            if not self._decided:
                self._report_and_save()
        self._save_before_verdict()
        verdict = self.measurement.judge(self.state, self.detector, self._save_within_verdict)
        return self._finish(verdict, stopped_early=self._decided and self.state.epoch < epochs)

    def _is_decided(self) -> bool:
        """True if a confirmed alarm stops the trial after this epoch.

        Asked again after the same epoch, for instance in a resumed trial, it measures nothing and answers the same.
        """
        return self.measurement.confirm_alarm(self.state, self.detector) and self._may_stop

    @property
    def _may_stop(self) -> bool:
        """True if an alarm may stop the trial. Healing, its placebo and an audit need the epochs after an alarm."""
        return self.protocol.stop and not self.trial.audit and self.trial.cell.heal.heal == "none"

    def _epoch(self) -> Row:
        """Train and validate one epoch, and add it to the state."""
        state, protocol, cell = self.state, self.protocol, self.trial.cell
        epoch = state.epoch + 1
        steps = self.trainer.count_steps(len(self.dataset.train))
        noisy_batches = min(state.noisy_batches, steps)
        state.noisy_batches -= noisy_batches
        trained, gradients = self.trainer.run_epoch(
            self.dataset.train,
            epoch,
            noisy_batches=noisy_batches,
            gradient_stride=protocol.gradient_stride,
        )
        healing: Row = {"heal/noisy_batches": noisy_batches} if cell.heal.heal == "fosc" else {}
        model, epsilon = self.trainer.measured, cell.attack.epsilon
        validated = validation_row(model, self.dataset.validation, epsilon, protocol, self.ranks)
        memory = peak_memory(self.ranks.device)
        row = finite({"epoch": epoch, **trained, **healing, **validated, **gradient_means(gradients), **memory})
        self.detector.update(epoch, row)
        masked = is_masked(row, protocol)
        accuracy = row["val/pgd10_acc"] or 0.0
        state.selected.offer(accuracy, epoch, model)
        if not masked:
            state.gated.offer(accuracy, epoch, model)
        elif cell.heal.heal == "fosc":
            state.noisy_batches = cell.heal.heal_batches
        state.epoch = epoch
        state.rows.append(row)
        state.gradients += [finite(gradient) for gradient in gradients]
        self._unreported.append(row)
        state.device_seconds = self.clock.attempts.device_seconds
        return row

    def _failure(self, row: Row) -> str | None:
        """The reason to censor the trial after this epoch, or None."""
        for name in ("train/loss", "val/clean_loss"):
            if row[name] is None:
                return f"diverged: {name} of epoch {self.state.epoch} is not finite"
        limit = self.context.timeout_s
        # Set-up, waiting for a store and lost work are not the trial's own time.
        if self.ranks.from_leader(limit is not None and self.state.epoch_seconds > limit):
            return f"timeout: {limit:g} s passed in epoch {self.state.epoch}"
        return None

    def _report_and_save(self) -> None:
        now = time.monotonic()
        report = now - self._reported_at >= self.context.cadence.report_s
        due = (report, self.ranks.leads and self._writer.due)
        report_due, save_due = self.ranks.from_leader(due)
        if report_due:
            self._report()
        if save_due and self.ranks.leads:
            self._save()

    def _save(self) -> None:
        self._saved = self.state.epoch
        artifacts = self.trainer.method.artifacts()
        self._writer.save(lambda: self.files.pack(self.state, self.parts, artifacts))

    def _save_before_verdict(self) -> None:
        """Store a checkpoint of the last epoch, because a verdict may take longer than the training before it."""
        if self.ranks.leads:
            if self._saved != self.state.epoch:
                self._save()
            self._writer.wait()

    def _save_within_verdict(self) -> None:
        """Store what has been measured for the verdict, because the attacks on large sets of images take long."""
        if self.ranks.leads and self._writer.due:
            self.state.device_seconds = self.clock.attempts.device_seconds
            self._save()

    def _report(self) -> None:
        self._reported_at = time.monotonic()
        self.context.report(self.state.epoch, self._unreported, self._decided)
        self._unreported = []

    def _resume(self) -> TrialState:
        """Load the parts from the last checkpoint and return its state, or a new state if no checkpoint is usable."""
        try:
            found = self.files.read(self.ranks)
            if found is None:
                return TrialState()
            state = unpack(found.checkpoint, self.parts)
            if len(state.rows) != state.epoch or state.epoch > self.trial.cell.training.epochs:
                raise ValueError(f"{len(state.rows)} rows for {state.epoch} epochs")
            self.trainer.method.load_artifacts(found.artifacts)
            return state
        except CorruptFileError as error:
            reason = str(error)
        except Exception as error:
            # The checksum is valid, but the content is not ours (other version, edited file). All ranks come here.
            where = self.context.store.place(RESUME)
            reason = f"{where} is not a checkpoint of this trial ({type(error).__name__})"
        if self.ranks.leads:
            _say(f"{reason}; the trial starts again from its first epoch")
        self._build()
        return TrialState()

    def _finish(self, verdict: Verdict, *, stopped_early: bool) -> TrialRecord | None:
        """Report the last rows. The leading rank also writes the weights and the record."""
        self._report()
        if not self.ranks.leads:
            return None
        self.state.device_seconds = self.clock.attempts.device_seconds
        record = self.record.write(
            verdict, self.state, self.dataset, self.trainer.measured, stopped_early=stopped_early
        )
        self._writer.wait()
        self.files.delete()
        self.clock.delete()
        return record


def _say(line: str) -> None:
    print(line, flush=True)
