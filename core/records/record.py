"""The record of one trial. Plain data: no torch, no Ray, no MLflow."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from core.records.feasibility import Feasibility
from core.records.key import trial_key
from core.records.measured import CheckpointName, Measured
from core.records.rows import Rows
from core.seal import check_seal, sealed

SCHEMA_VERSION = 1
"""Version of the layout of a record. It grows when a field changes its meaning or is removed.

A new field with a default does not change the version. Records of unmask 0.1.0 do not state a version; theirs is 1."""
Outcome = Literal["stable", "unstable", "healed", "censored"]
PGD_NAME = re.compile(r"(?P<prefix>.*\bpgd)-\d+(?P<restarts>x\d+)?")
"""Keys of PGD attacks, such as ``pgd-10``, ``pgd-50x5`` and ``transfer-pgd-10``."""


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


# a record has a dozen of them, and a dataclass with slots takes a tenth of a model's memory
@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="ignore"))
class Measurement:
    """A robust accuracy, and all settings that are needed to compare it with another one."""

    attack: str
    """Key of the attack in a record: ``clean``, ``fgsm``, ``pgd-10``, ``pgd-50x5``, ``square``, ``apgd-ce``, ...

    A transfer attack names its source: ``transfer-pgd-10 from resnet34-1a2b3c4d``, the network and its checksum.

    The keys ``pgd-10`` and ``pgd-50x5`` do not change with the protocol's steps and restarts. `label` is the name to
    show, because it states the steps and restarts that were run.
    """
    accuracy: float = Field(ge=0, le=1)
    steps: int | None = None
    restarts: int | None = None
    queries: int | None = None
    square: Literal["rescaled", "autoattack"] | None = None
    """Kind of a verdict's Square attack; None for other attacks, and in records of earlier versions (``rescaled``)."""
    targets: int | None = None
    """Number of target classes of a targeted attack; each class has its own restarts."""
    images: int
    """Number of attacked images."""
    block: int | None = None
    """Number of images that are attacked at once, if the attack's random numbers depend on it."""
    split: Literal["validation", "test"]
    epsilon: float | None = None
    seed: int | None = None
    precision: str = "fp32"
    library: str = "unmask"
    """Library that ran the attack, with its version: ``unmask 0.1.0``, ``pyautoattack 0.2.0``."""

    @property
    def label(self) -> str:
        """Name of the attack as it was run: ``pgd-20`` with 20 steps, ``pgd-50x1`` with 1 restart, ``square-1000``.

        The key's own number is kept if the number of steps, restarts or queries was not recorded.
        """
        if (name := PGD_NAME.fullmatch(self.attack)) and self.steps is not None:
            restarts = f"x{self.restarts}" if name["restarts"] and self.restarts is not None else name["restarts"] or ""
            return f"{name['prefix']}-{self.steps}{restarts}"
        if self.square == "autoattack" and self.queries is not None:
            return f"square-autoattack-{self.queries}"
        if self.attack.rpartition("/")[2].endswith(("square", "square-autoattack")) and self.queries is not None:
            return f"{self.attack}-{self.queries}"
        return self.attack


class Evidence(_Plain):
    """The measurements of several attacks on one checkpoint and the same images."""

    checkpoint: CheckpointName
    """``alarm`` is measured on validation images when the detector fires, the others on test images at the end."""
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
    """None if it could not be measured (censored trials)."""
    catastrophic: bool | None = None
    onset_epoch: int | None = None
    """First epoch of the first series of `patience` consecutive epochs with FOSC above the threshold."""
    onset_epochs: tuple[int, ...] = ()
    """Epochs of all onsets. An onset after a recovery is a new onset."""
    recovery_epochs: tuple[int, ...] = ()
    """Epochs at which FOSC returned below the threshold after an onset (self-healing or healing)."""
    confirmed_epoch: int | None = None
    """First epoch at which overestimation or catastrophic overfitting on validation images confirmed an alarm."""
    censor_reason: str | None = None
    """``crashed: ...``, ``diverged: ...`` or ``timeout: ...``."""
    evidence: tuple[Evidence, ...] = ()


class TrialRecord(_Plain):
    """The stored result of one trial, which (cell_id, seed, pins) identify within its sweep."""

    schema_version: int = 1
    sweep: str
    cell_id: str
    cell: dict[str, Any]
    """Flat options of the cell: ``{"beta": 1.0, "batch_size": 16, ...}``."""
    seed: int = Field(ge=0, lt=2**32)
    pins: dict[str, int] = Field(default_factory=dict)
    audit: bool = False
    allocation: Literal["fixed", "adaptive"] = "fixed"
    """``adaptive`` if the sweep's number of seeds depends on its results, which requires anytime intervals."""
    rerun: dict[str, Any] | None = None
    """The earlier sweep from which the seed was taken: ``{"sweep": ..., "where": [...], "counterpart": cell id}``.

    Empty if the sweep has seeds of its own; None in records of earlier versions, which do not say."""
    protocol: dict[str, Any]
    status: Literal["running", "finished"] = "finished"
    verdict: Verdict | None = None
    """None while the trial is running."""
    epochs_planned: int
    epochs_run: int
    stopped_early: bool = False
    trace: Rows = Field(default_factory=Rows)
    """One row per epoch: ``epoch`` (1-based) and metrics named ``section/name``; None for a metric that is not finite.
    """
    gradients: Rows = Field(default_factory=Rows)
    """One row per batch (Appendix G of the paper): ``step, epoch, w_norm, ce_norm, kl_norm, cosine``."""
    device_seconds: float = 0.0
    """Seconds of all attempts from their start to their end, multiplied by the number of devices.

    Records of earlier versions lack the set-up, and attempts that were killed before they ended an epoch."""
    lost_device_seconds: float = 0.0
    """The part of ``device_seconds`` whose work no checkpoint contained when an attempt ended.

    It is all of them in the record of a trial that crashed, until a later run continues the trial."""
    epoch_device_seconds: float | None = None
    """The part of ``device_seconds`` in which the epochs of ``trace`` were trained and validated.

    Set-up, the verdict, waiting and lost work are not in it. None in records of earlier versions, and of trials whose
    workers died."""
    attempts: int = 1
    """How often the trial was started; 0 for a waiting trial (see `SweepProgress.open_trials`)."""
    checkpoints: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each stored weights file: ``{"selected.pt": ..., "gated.pt": ..., "last.pt": ...}``."""
    feasibility: Feasibility | None = None
    """Whether the data admit a robust classifier at the cell's radius; None in records of unmask 0.1.0."""
    provenance: dict[str, str] = Field(default_factory=dict)
    """Library versions, git commit, hardware and host of the last attempt, and the fingerprint of its data."""
    took_part: tuple[dict[str, str], ...] = ()
    """Provenance of all attempts whose epochs the trial contains, each different one once, the last one at the end.

    It is empty in records of earlier versions, and of trials whose workers died."""
    evaluations: tuple[Evidence, ...] = ()
    """Evaluations of stored checkpoints (`jobs/evaluate.py`), each on one set of test images with one seed."""
    measures: tuple[Measured, ...] = ()
    """Measures of stored checkpoints (`jobs/evaluate.py --measure`)."""

    @property
    def crashed(self) -> bool:
        """True if the trial was censored because its workers died. A later run of the sweep starts it again."""
        return self.verdict is not None and (self.verdict.censor_reason or "").startswith("crashed")

    @property
    def can_be_stopped(self) -> bool:
        """True if this trial may be stopped early: the protocol stops trials, and the trial is not audited."""
        return bool(self.protocol.get("stop")) and not self.audit

    @property
    def key(self) -> str:
        """Identity of the trial within its sweep."""
        return trial_key(self.cell_id, self.seed, self.pins)

    def to_json(self) -> bytes:
        """The content of the record's file, with a checksum."""
        return sealed(self.model_dump_json())

    def without_traces(self) -> TrialRecord:
        """The same record without its rows per epoch and per batch, which needs a tenth of the memory."""
        return self.model_copy(update={"trace": Rows(), "gradients": Rows()})

    def evaluation(self, checkpoint: CheckpointName, attack: str) -> Evidence | None:
        """The evaluation of a checkpoint that measured ``attack`` on the most images; None if there is none.

        Of two evaluations on equally many images the later one is returned.
        """
        found = [
            (evidence.measurements[0].images, index, evidence)
            for index, evidence in enumerate(self.evaluations)
            if evidence.checkpoint == checkpoint and any(m.attack == attack for m in evidence.measurements)
        ]
        return max(found, key=lambda entry: entry[:2])[2] if found else None

    def measured(self, checkpoint: CheckpointName, measure: str) -> Measured | None:
        """The measure of a checkpoint on the most images, and the latest of several; None if there is none."""
        found = [m for m in self.measures if (m.checkpoint, m.measure) == (checkpoint, measure)]
        return max(enumerate(found), key=lambda entry: (entry[1].images, entry[0]))[1] if found else None


class UnknownSchemaError(ValueError):
    """The record was written by a version of unmask whose layout this version does not know."""


def read_record(content: bytes) -> TrialRecord:
    """The record in the bytes of a ``record.json`` or ``crash.json``.

    Raises:
        UnknownSchemaError: the record's layout is not the one that this version reads.
        ChecksumError: the record was changed after it was written.
        pydantic.ValidationError: the record is damaged.
    """
    check_seal(content, sealed_with="took_part")
    try:
        record = TrialRecord.model_validate_json(content)
    except ValidationError:
        _check_schema(_stored_schema(content))
        raise
    _check_schema(record.schema_version)
    return record


def _stored_schema(content: bytes) -> int:
    """The schema version that unreadable bytes name; that of this version if they name none."""
    try:
        stored = json.loads(content)
    except (ValueError, RecursionError):
        return SCHEMA_VERSION
    version = stored.get("schema_version") if isinstance(stored, dict) else None
    return version if type(version) is int else SCHEMA_VERSION


def _check_schema(version: int) -> None:
    if version != SCHEMA_VERSION:
        raise UnknownSchemaError(
            f"the record's schema_version is {version}, and this version of unmask reads {SCHEMA_VERSION}; "
            "read this sweep with the version of unmask that wrote it"
        )
