"""The record of one trial in the trial's store."""

from __future__ import annotations

import io
from dataclasses import dataclass

import torch
from torch import nn

from core.config import ProtocolOptions, Trial
from core.config.protocol import with_defaults
from core.data.feasibility import feasibility
from core.data.image_set import Dataset
from core.engine.attempts import Attempts
from core.engine.filenames import CRASH, RECORD
from core.engine.provenance import hardware, provenance
from core.engine.result_or_crash import result_or_crash
from core.engine.selection import Weights, copy_weights
from core.engine.trial_context import TrialContext
from core.engine.trial_state import TrialState
from core.records import TrialRecord, Verdict, read_record
from core.verdict import censor


@dataclass(frozen=True)
class RecordFile:
    """The record of one trial, and the weights files whose checksums the record contains."""

    trial: Trial
    protocol: ProtocolOptions
    context: TrialContext

    def read(self) -> TrialRecord | None:
        """The trial's stored record, of its result or of its last crash; None if the trial has not ended.

        Raises:
            ValueError: the record is damaged, or belongs to another trial, sweep or protocol.
        """
        return result_or_crash(self.context.store, self._parse)

    def _result(self) -> TrialRecord | None:
        """The trial's stored result. It raises what `read` raises."""
        content = self.context.store.read(RECORD)
        record = None if content is None else self._parse(RECORD, content)
        return None if record is None or record.crashed else record

    def _parse(self, name: str, content: bytes) -> TrialRecord:
        record = read_record(content)
        where = self.context.store.place(name)
        if (record.sweep, record.key) != (self.context.sweep, self.trial.key):
            raise ValueError(f"{where} belongs to trial {record.key} of sweep {record.sweep}")
        if with_defaults(record.protocol) != with_defaults(self.protocol.model_dump(mode="json")):
            raise ValueError(f"{where} belongs to another protocol")
        if name == CRASH and not record.crashed:
            raise ValueError(f"{where} is not the record of a crash")
        return record

    def write_out_of_memory(self, spent: Attempts) -> TrialRecord:
        """Write the crash of a trial that its device cannot hold, and return its record.

        Nothing is written if another process has stored a result meanwhile. That record is returned.

        Args:
            spent: all attempts at it. Their device time is lost, because the record has no epoch.
        """
        trial, context = self.trial, self.context
        batch, share = trial.cell.training.batch_size, context.device_share
        reason = f"crashed: out of memory with --batch-size {batch} on {hardware(context.ranks.device)}"
        if share < 1:
            reason += f" with --gpus-per-worker {share:g}: give a larger share"
        else:
            reason += ": give more --workers or a smaller --batch-size, under another --name"
        record = TrialRecord(
            sweep=context.sweep,
            **trial.record_fields(),
            protocol=self.protocol.model_dump(mode="json"),
            verdict=censor(reason),
            epochs_run=0,
            attempts=spent.number,
            device_seconds=spent.device_seconds,
            lost_device_seconds=spent.device_seconds,
            provenance=provenance(context.ranks, context.commit, trial.cell),
        )
        if result := self._result():
            return result
        context.store.write(CRASH, record.to_json())
        return record

    def write(
        self, verdict: Verdict, state: TrialState, dataset: Dataset, model: nn.Module, *, stopped_early: bool
    ) -> TrialRecord:
        """Write the weights files and the record of a trial that has ended, and return the record.

        Nothing is written if another process has stored a result meanwhile. That record is returned.

        Args:
            verdict: the verdict on the trial.
            state: the state after the last epoch, with the weights of the selected and the gated checkpoint.
            dataset: the images of the trial.
            model: the network after the last epoch.
            stopped_early: the verdict ended the trial before its last epoch.
        """
        trial = self.trial
        if result := self._result():  # Its checksums are those of the weights files beside it.
            return result
        weights = {"last": (state.epoch, copy_weights(model))}
        for name, best in (("selected", state.selected), ("gated", state.gated)):
            if best.weights is not None:
                weights[name] = (best.epoch, best.weights)
        origin = self.context.start.origin if self.context.start else {}
        record = TrialRecord(
            sweep=self.context.sweep,
            **trial.record_fields(),
            protocol=self.protocol.model_dump(mode="json"),
            verdict=verdict,
            epochs_run=state.epoch,
            stopped_early=stopped_early,
            trace=state.rows,
            gradients=state.gradients,
            device_seconds=state.device_seconds,
            lost_device_seconds=state.lost_device_seconds,
            epoch_device_seconds=state.epoch_seconds * self.context.devices,
            attempts=state.attempts,
            checkpoints={f"{name}.pt": self._write_weights(name, *kept) for name, kept in weights.items()},
            feasibility=feasibility(dataset.train, dataset.test, trial.cell.attack.epsilon),
            provenance=state.took_part[-1] | origin,
            took_part=tuple(state.took_part),
        )
        return self._create(record)

    def _create(self, record: TrialRecord) -> TrialRecord:
        """Store the result and return it. A result that another process has stored is kept and returned.

        Two processes train one trial if a driver was replaced while it or one of its workers was cut off. A crash that
        an earlier version stored as `RECORD` is no result and is replaced.
        """
        # Some servers replace a file that should only be created, and so it is looked for first.
        if result := self._result():
            return result
        if not self.context.store.create(RECORD, record.to_json()):
            if result := self._result():
                return result
            self.context.store.write(RECORD, record.to_json())
        return record

    def _write_weights(self, name: str, epoch: int, weights: Weights) -> str:
        """Write a weights file and return its SHA-256."""
        buffer = io.BytesIO()
        torch.save({"cell": self.trial.cell.flat(), "seed": self.trial.seed, "epoch": epoch, "model": weights}, buffer)
        return self.context.store.write(f"{name}.pt", buffer.getvalue())
