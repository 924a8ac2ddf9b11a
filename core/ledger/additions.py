"""``evaluation.json`` and ``measures.json``: what was found about a trial's checkpoints after its record.

Both files name the trial and the checksums of its weights, so that they cannot be taken for those of other weights.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from core.records import Evidence, Measured, TrialRecord
from core.seal import check_seal, sealed


class MisplacedError(ValueError):
    """A file belongs to another trial, or to other weights of the same trial."""


class _Owned(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    trial: str
    checkpoints: dict[str, str]
    """SHA-256 of each weights file of the trial, as its record has them."""


class _Evaluations(_Owned):
    evaluations: tuple[Evidence, ...]


class _Measures(_Owned):
    measures: tuple[Measured, ...]


_EARLIER_EVALUATIONS = TypeAdapter(tuple[Evidence, ...])
_EARLIER_MEASURES = TypeAdapter(tuple[Measured, ...])
_File = TypeVar("_File", bound=_Owned)


def read_evaluations(content: bytes, record: TrialRecord) -> tuple[Evidence, ...]:
    """The evaluations in the bytes of an ``evaluation.json``.

    Raises:
        ChecksumError: the file was changed after it was written.
        MisplacedError: the file belongs to another trial or to other weights.
        pydantic.ValidationError: the file is damaged.
    """
    if _is_of_earlier_version(content):
        return _EARLIER_EVALUATIONS.validate_json(content)
    return _of(record, _Evaluations, content).evaluations


def read_measures(content: bytes, record: TrialRecord) -> tuple[Measured, ...]:
    """The measures in the bytes of a ``measures.json``. It raises what `read_evaluations` raises."""
    if _is_of_earlier_version(content):
        return _EARLIER_MEASURES.validate_json(content)
    return _of(record, _Measures, content).measures


def write_evaluations(record: TrialRecord) -> bytes:
    """The content of the ``evaluation.json`` of a record."""
    file = _Evaluations(trial=record.key, checkpoints=record.checkpoints, evaluations=record.evaluations)
    return sealed(file.model_dump_json(indent=1))


def write_measures(record: TrialRecord) -> bytes:
    """The content of the ``measures.json`` of a record."""
    file = _Measures(trial=record.key, checkpoints=record.checkpoints, measures=record.measures)
    return sealed(file.model_dump_json(indent=1))


def _is_of_earlier_version(content: bytes) -> bool:
    """True for a bare list, which names neither its trial nor its weights."""
    return content.lstrip()[:1] == b"["


def _of(record: TrialRecord, kind: type[_File], content: bytes) -> _File:
    check_seal(content, sealed_with="trial")
    file = kind.model_validate_json(content)
    if file.trial != record.key:
        raise MisplacedError(f"it belongs to trial {file.trial}")
    if file.checkpoints != record.checkpoints:
        raise MisplacedError("it belongs to other weights than those of the record")
    return file
