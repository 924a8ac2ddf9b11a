"""Everything of a running trial that must survive an interruption, and how it is written down."""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from core.records import Evidence

Weights = dict[str, torch.Tensor]


@dataclass
class Best:
    """Weights of the epoch with the highest PGD-10 validation accuracy so far; the first of equals stays."""

    accuracy: float = -1.0
    epoch: int = 0
    weights: Weights | None = None

    def offer(self, accuracy: float, epoch: int, model: nn.Module) -> None:
        """Take this epoch's weights if it is better."""
        if accuracy > self.accuracy:
            self.accuracy, self.epoch, self.weights = accuracy, epoch, copy_weights(model)


@dataclass
class Progress:
    """State of a trial after ``epoch`` epochs.

    Attributes:
        epoch: last finished epoch, 0 before the first.
        rows, gradients: the record's trace and gradient tables so far.
        selected, gated: best by PGD-10; best among epochs with FOSC under the threshold (Algorithm 1, line 17).
        alarms: evidence measured when the detector fired.
        noisy_batches: healing noise due from the next epoch's first batch on.
    """

    epoch: int = 0
    step: int = 0
    rows: list[dict[str, float | None]] = field(default_factory=list)
    gradients: list[dict[str, float | None]] = field(default_factory=list)
    selected: Best = field(default_factory=Best)
    gated: Best = field(default_factory=Best)
    alarms: list[Evidence] = field(default_factory=list)
    noisy_batches: int = 0
    device_seconds: float = 0.0
    attempts: int = 0


def copy_weights(model: nn.Module) -> Weights:
    """The model's parameters and buffers, on the CPU, not shared with it."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}


def pack(progress: Progress, parts: dict[str, Any]) -> bytes:
    """A checkpoint as bytes: progress and the ``state_dict`` of every part (model, optimizer, scaler, detector)."""
    plain = {**vars(progress), "selected": vars(progress.selected), "gated": vars(progress.gated)}
    plain["alarms"] = [evidence.model_dump_json() for evidence in progress.alarms]
    buffer = io.BytesIO()
    torch.save({"progress": plain, "parts": {name: part.state_dict() for name, part in parts.items()}}, buffer)
    return buffer.getvalue()


def unpack(checkpoint: bytes, parts: dict[str, Any]) -> Progress:
    """Load every part from a checkpoint made by `pack` and return its progress. Nothing is unpickled.

    Other bytes raise any exception, and leave the parts in any state.
    """
    stored = torch.load(io.BytesIO(checkpoint), weights_only=True, map_location="cpu")
    for name, part in parts.items():
        part.load_state_dict(copy.deepcopy(stored["parts"][name]))
    plain = stored["progress"]
    plain["selected"], plain["gated"] = Best(**plain["selected"]), Best(**plain["gated"])
    plain["alarms"] = [Evidence.model_validate_json(text) for text in plain["alarms"]]
    progress = Progress(**plain)
    for name, usual in vars(Progress()).items():
        if type(getattr(progress, name)) is not type(usual):
            raise TypeError(f"{name} is {getattr(progress, name)!r:.100}")
    return progress
