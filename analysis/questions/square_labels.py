"""The label *overestimation* by one kind of Square attack, where a trial has measured it."""

from __future__ import annotations

from core.config.protocol import SquareKind
from core.records import Evidence, Measurement, TrialRecord
from core.verdict import reaches


def is_overestimated_by(record: TrialRecord, kind: SquareKind) -> bool | None:
    """Whether PGD leaves more accuracy than this Square by the protocol's gap, at the selected or the last checkpoint.

    None if the trial has not measured this Square at any of them.
    """
    evidence = record.verdict.evidence if record.verdict else ()
    gaps = [gap for e in evidence if e.checkpoint in ("selected", "last") and (gap := _gap(e, kind)) is not None]
    return reaches(max(gaps), record.protocol["overestimation_gap"]) if gaps else None


def _gap(evidence: Evidence, kind: SquareKind) -> float | None:
    found = (m.accuracy for m in evidence.measurements if _kind(m) == kind)
    square = next(found, None)
    return None if square is None else evidence.accuracy("pgd-10") - square


def _kind(measurement: Measurement) -> SquareKind | None:
    """The kind of a verdict's Square. Earlier versions measured the rescaled one and did not name it."""
    return measurement.square or ("rescaled" if measurement.attack == "square" else None)
