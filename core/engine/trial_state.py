"""The state of a trial after an epoch, and the checkpoint that holds it."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from core.engine.selection import Best
from core.records import Evidence, Row


@dataclass
class TrialState:
    """State of a trial after ``epoch`` epochs, without the network, optimiser and detector (see `pack`).

    Attributes:
        epoch: last finished epoch, 0 before the first.
        rows: the record's trace up to now.
        gradients: the record's batch-level gradient table up to now.
        selected: best epoch by PGD validation accuracy.
        gated: best among the epochs whose FOSC is not above the threshold (Algorithm 1, line 17).
        alarms: evidence that was measured while the detector's alarm was on.
        judged: evidence that was measured for the verdict up to now, once for each epoch.
        noisy_batches: number of batches that still get healing noise, from the first batch of the next epoch on.
        device_seconds: seconds of all attempts from their start on, times the number of devices.
        lost_device_seconds: the part of ``device_seconds`` whose work was lost, because an attempt ended without a
            checkpoint of it.
        attempts: number of times that the trial was started.
        took_part: provenance of the attempts whose epochs the state contains, each different one once.
    """

    epoch: int = 0
    rows: list[Row] = field(default_factory=list)
    gradients: list[Row] = field(default_factory=list)
    selected: Best = field(default_factory=Best)
    gated: Best = field(default_factory=Best)
    alarms: list[Evidence] = field(default_factory=list)
    judged: list[Evidence] = field(default_factory=list)
    noisy_batches: int = 0
    device_seconds: float = 0.0
    lost_device_seconds: float = 0.0
    attempts: int = 0
    took_part: list[dict[str, str]] = field(default_factory=list)

    @property
    def epoch_seconds(self) -> float:
        """Seconds in which the epochs were trained and validated, on each device."""
        return sum((row["time/train_s"] or 0) + (row["time/eval_s"] or 0) for row in self.rows)


class Contents(NamedTuple):
    """The head of a checkpoint, which is read before the rest of it is used.

    Attributes:
        owner: the trial, the protocol and the data that the checkpoint belongs to. Checkpoints of earlier versions name
            less, or nothing.
        artifacts: SHA-256 of each artifact by its name; None in checkpoints of earlier versions.
    """

    owner: dict[str, str]
    artifacts: dict[str, str | None]


def pack(state: TrialState, parts: dict[str, Any], owner: Mapping[str, str], artifacts: Mapping[str, str]) -> bytes:
    """A checkpoint as bytes: the state, the ``state_dict`` of every part, and the head (see `Contents`)."""
    plain = {**vars(state), "selected": vars(state.selected), "gated": vars(state.gated)}
    for name in ("alarms", "judged"):
        plain[name] = [evidence.model_dump_json() for evidence in plain[name]]
    buffer = io.BytesIO()
    states = {name: part.state_dict() for name, part in parts.items()}
    head = {"owner": dict(owner), "artifacts": dict(sorted(artifacts.items()))}
    torch.save({"progress": plain, "parts": states, **head}, buffer)
    return buffer.getvalue()


def contents(checkpoint: bytes) -> Contents:
    """The head of a checkpoint. Checkpoints of earlier versions have no owner, and no artifacts or only their names."""
    stored = torch.load(io.BytesIO(checkpoint), weights_only=True, map_location="cpu")
    artifacts = stored.get("artifacts", {})
    return Contents(
        stored.get("owner", {}), dict(artifacts) if isinstance(artifacts, dict) else dict.fromkeys(artifacts)
    )


def unpack(checkpoint: bytes, parts: dict[str, Any]) -> TrialState:
    """Load every part from a checkpoint made by `pack`, and return its state. No pickled code is executed.

    Raises:
        Exception: the bytes are not such a checkpoint. The type of the exception and the state of the parts are then
            undefined.
    """
    stored = torch.load(io.BytesIO(checkpoint), weights_only=True, map_location="cpu")
    for name, part in parts.items():
        # Checkpoints of earlier versions have no part for the method, because methods had no state then.
        part.load_state_dict(copy.deepcopy(stored["parts"].get(name, {})))
    plain = stored["progress"]
    plain.pop("step", None)  # earlier versions stored it; it follows from the epoch
    plain["selected"], plain["gated"] = Best(**plain["selected"]), Best(**plain["gated"])
    for name in ("alarms", "judged"):  # checkpoints of earlier versions contain nothing of a verdict
        plain[name] = [Evidence.model_validate_json(text) for text in plain.get(name, [])]
    state = TrialState(**plain)
    for name, usual in vars(TrialState()).items():
        if type(getattr(state, name)) is not type(usual):
            raise TypeError(f"{name} is {getattr(state, name)!r:.100}")
    return state
