"""The record of one trial. Plain data: no torch, no Ray, no MLflow."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.records.key import trial_key

SCHEMA_VERSION = 1
"""Version of the layout of a record. It grows when a field changes its meaning or is removed.
A field that is added with a default leaves it as it is. Records of unmask 0.1.0 do not name it; theirs is 1."""
Outcome = Literal["stable", "unstable", "healed", "censored"]
CheckpointName = Literal["selected", "last", "gated", "alarm"]
Row = dict[str, float | None]
"""Metrics of one epoch or step by name; None where a metric is not finite."""
PGD_NAME = re.compile(r"(?P<prefix>.*\bpgd)-\d+(?P<restarts>x\d+)?")
"""``pgd-10``, ``pgd-50x5``, ``transfer-pgd-10``."""


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Measurement(_Plain):
    """A robust accuracy and everything needed to compare it with another one."""

    attack: str
    """Key of the attack in a record: ``clean``, ``fgsm``, ``pgd-10``, ``pgd-50x5``, ``square``, ``apgd-ce``, ...

    The keys ``pgd-10`` and ``pgd-50x5`` are constant whatever the protocol's steps and restarts are. Show `label`.
    """
    accuracy: float = Field(ge=0, le=1)
    steps: int | None = None
    restarts: int | None = None
    queries: int | None = None
    targets: int | None = None
    """Target classes of a targeted attack, each with its own restarts."""
    images: int
    block: int | None = None
    """Images attacked at once, where their random numbers depend on it."""
    split: Literal["validation", "test"]
    epsilon: float | None = None
    seed: int | None = None
    precision: str = "fp32"
    library: str = "unmask"
    """Who computed it, with version: ``unmask 0.1.0``, ``pyautoattack 0.2.0``."""

    @property
    def label(self) -> str:
        """Name of the attack as it was run: ``pgd-20`` with 20 steps, ``pgd-50x1`` with 1 restart, ``square-1000``.

        A number that was not recorded stays as the key has it.
        """
        if (name := PGD_NAME.fullmatch(self.attack)) and self.steps is not None:
            restarts = f"x{self.restarts}" if name["restarts"] and self.restarts is not None else name["restarts"] or ""
            return f"{name['prefix']}-{self.steps}{restarts}"
        if self.attack.rpartition("/")[2].endswith("square") and self.queries is not None:
            return f"{self.attack}-{self.queries}"
        return self.attack


class Evidence(_Plain):
    """All attacks of one verdict on one checkpoint, on the same images."""

    checkpoint: CheckpointName
    """``alarm``: measured on validation images when the detector fired; the others on test images at the end."""
    epoch: int
    measurements: tuple[Measurement, ...]

    def measurement(self, attack: str) -> Measurement:
        """The measurement with the key ``attack``.

        Raises:
            KeyError: the attack was not measured.
        """
        for measurement in self.measurements:
            if measurement.attack == attack:
                return measurement
        raise KeyError(attack)

    def accuracy(self, attack: str) -> float:
        """Accuracy in [0, 1] under ``attack``.

        Raises:
            KeyError: the attack was not measured.
        """
        return self.measurement(attack).accuracy


class Verdict(_Plain):
    """Labels and outcome of a finished trial. Epochs are 1-based."""

    outcome: Outcome
    onset: bool
    overestimation: bool | None = None
    """None where it could not be measured (censored trials)."""
    catastrophic: bool | None = None
    onset_epoch: int | None = None
    """First epoch of the first run of `patience` epochs above the threshold."""
    onset_epochs: tuple[int, ...] = ()
    """All onsets: an onset after a recovery is a new one."""
    recovery_epochs: tuple[int, ...] = ()
    """Epochs at which FOSC came back under the threshold after an onset (self-healing or healing)."""
    confirmed_epoch: int | None = None
    """First epoch at which an alarm was confirmed by overestimation or catastrophic on validation images."""
    censor_reason: str | None = None
    """``crashed: ...``, ``diverged: ...`` or ``timeout: ...``."""
    evidence: tuple[Evidence, ...] = ()


class TrialRecord(_Plain):
    """What a trial leaves. Identified by (cell_id, seed, pins) within its sweep."""

    schema_version: int = 1
    sweep: str
    cell_id: str
    cell: dict[str, Any]
    """The cell's options, flat: ``{"beta": 1.0, "batch_size": 16, ...}``."""
    seed: int = Field(ge=0, lt=2**32)
    pins: dict[str, int] = Field(default_factory=dict)
    audit: bool = False
    allocation: Literal["fixed", "adaptive"] = "fixed"
    """Was the sweep's number of seeds fixed, or chosen while looking? Adaptive sweeps need anytime intervals."""
    protocol: dict[str, Any]
    status: Literal["running", "finished"] = "finished"
    verdict: Verdict | None = None
    """None while running."""
    epochs_planned: int
    epochs_run: int
    stopped_early: bool = False
    trace: list[Row] = Field(default_factory=list)
    """One row per epoch: ``epoch`` (1-based) and metrics named ``section/name``; None where not finite."""
    gradients: list[Row] = Field(default_factory=list)
    """Batch-level rows of Appendix G: ``step, epoch, w_norm, ce_norm, kl_norm, cosine``."""
    device_seconds: float = 0.0
    """Seconds of training and evaluation times workers, over all attempts."""
    attempts: int = 1
    """How often the trial was started. 0: it waits, and its record only says that it is to come."""
    checkpoints: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each stored weights file: ``{"selected.pt": ..., "gated.pt": ..., "last.pt": ...}``."""
    provenance: dict[str, str] = Field(default_factory=dict)
    """Library versions, git commit, hardware, host, library of each part."""
    evaluations: tuple[Evidence, ...] = ()
    """Later evaluations of stored checkpoints (`jobs/evaluate.py`), each on one set of test images with one seed."""

    @property
    def key(self) -> str:
        """Identity within the sweep."""
        return trial_key(self.cell_id, self.seed, self.pins)

    def without_traces(self) -> TrialRecord:
        """The same without what was measured per epoch and per batch: a hundredth of the memory."""
        return self.model_copy(update={"trace": [], "gradients": []})

    def evaluation(self, checkpoint: CheckpointName, attack: str) -> Evidence | None:
        """The evaluation of a checkpoint that measured ``attack`` on the most images (the later of two); None: none."""
        found = [
            (evidence.measurements[0].images, index, evidence)
            for index, evidence in enumerate(self.evaluations)
            if evidence.checkpoint == checkpoint and any(m.attack == attack for m in evidence.measurements)
        ]
        return max(found, key=lambda entry: entry[:2])[2] if found else None


class UnknownSchemaError(ValueError):
    """A record was written by a version of unmask whose layout this version does not know."""


def read_record(content: bytes) -> TrialRecord:
    """The record in the bytes of a ``record.json``.

    Raises:
        UnknownSchemaError: its layout is not the one that this version reads.
        pydantic.ValidationError: it is damaged.
    """
    try:
        record = TrialRecord.model_validate_json(content)
    except ValidationError:
        _check_schema(_stored_schema(content))
        raise
    _check_schema(record.schema_version)
    return record


def _stored_schema(content: bytes) -> object:
    """The schema version that damaged or unknown bytes claim to have; that of this version if they claim none."""
    try:
        stored = json.loads(content)
    except (ValueError, RecursionError):
        return SCHEMA_VERSION
    return stored.get("schema_version", SCHEMA_VERSION) if isinstance(stored, dict) else SCHEMA_VERSION


def _check_schema(version: object) -> None:
    if version != SCHEMA_VERSION:
        raise UnknownSchemaError(
            f"the record's schema_version is {version}, and this version of unmask reads {SCHEMA_VERSION}; "
            "read this sweep with the version of unmask that wrote it"
        )
