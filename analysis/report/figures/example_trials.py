"""The trials and checkpoints that show best what a figure is about, chosen by rule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from analysis.questions.healing import EarlierRecords
from analysis.questions.rates import outcome
from analysis.report.figures.series import has
from core.config.data import DataOptions
from core.records import CheckpointName, TrialRecord


class Pair(NamedTuple):
    """Two trials that are drawn beside each other."""

    first: TrialRecord
    second: TrialRecord


def contrast(records: Sequence[TrialRecord]) -> Pair | None:
    """A stable and an unstable trial, of one cell if a cell has both; None without such trials.

    Of several pairs it is the one whose unstable trial shows most: an instability that attacks confirmed, and then most
    epochs after the onset.
    """
    stable: dict[str, TrialRecord] = {}
    for record in records:
        if record.cell_id not in stable and outcome(record) == "stable" and has(record, "val/fosc"):
            stable[record.cell_id] = record
    unstable = [r for r in records if outcome(r) == "unstable" and r.verdict and r.verdict.onset and has(r, "val/fosc")]
    if not stable or not unstable:
        return None
    beside = [record for record in unstable if record.cell_id in stable]
    second = max(beside or unstable, key=_shown)
    return Pair(stable.get(second.cell_id, next(iter(stable.values()))), second)


def _shown(unstable: TrialRecord) -> tuple[bool, int]:
    """Whether attacks confirmed the instability, and the number of epochs after its onset."""
    verdict = unstable.verdict
    assert verdict is not None
    return bool(verdict.overestimation or verdict.catastrophic), unstable.epochs_run - (verdict.onset_epoch or 0)


def self_healed(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The trial with the longest trace after its onset among those that recovered without healing; None without one."""
    return max(
        (r for r in records if r.verdict and r.verdict.recovery_epochs and r.cell["heal"] != "fosc"),
        key=lambda r: r.epochs_run - (r.verdict.onset_epoch or 0 if r.verdict else 0),
        default=None,
    )


def heal_pair(records: Sequence[TrialRecord], earlier: EarlierRecords | None = None) -> Pair | None:
    """An unstable trial without healing and its twin with it: same seed, same options otherwise.

    Pairs whose twin is not unstable are preferred, and of these the pair whose first trial has the most epochs. The
    result is None without a pair.

    Args:
        records: trials of one sweep.
        earlier: the earlier sweep whose trials this sweep trains again, if it does.
    """
    pairs = _heal_pairs(records, earlier)
    return max(pairs, key=lambda pair: (outcome(pair.second) != "unstable", pair.first.epochs_run), default=None)


def _heal_pairs(records: Sequence[TrialRecord], earlier: EarlierRecords | None) -> list[Pair]:
    counterparts = earlier.counterparts if earlier else {}

    def setting(record: TrialRecord) -> str:
        return str(sorted((k, str(v)) for k, v in record.cell.items() if not k.startswith("heal")))

    unhealed = [r for r in records if r.cell["heal"] == "none" and outcome(r) == "unstable"]
    there = {(setting(r), r.seed): r for r in unhealed}
    there |= {(r.cell_id, r.seed): r for r in (earlier.compared if earlier else ()) if outcome(r) == "unstable"}
    healed = [r for r in records if r.cell["heal"] == "fosc" and r.verdict]
    keys = [(r, (counterparts.get(r.cell_id, setting(r)), r.seed)) for r in healed]
    return [Pair(there[key], record) for record, key in keys if key in there]


class StoredCheckpoint(NamedTuple):
    """A stored checkpoint whose landscape is drawn."""

    record: TrialRecord
    checkpoint: CheckpointName


class LandscapePair(NamedTuple):
    """Two checkpoints whose landscapes are drawn beside each other."""

    stable: StoredCheckpoint
    unstable: StoredCheckpoint


def landscape_pair(records: Sequence[TrialRecord]) -> LandscapePair | None:
    """Checkpoints of a stable and an unstable trial whose landscapes can be compared, of one cell if a cell has both.

    Of all selected and last checkpoints of unstable trials it is the one with the most gradient masking, measured by
    the larger of two differences of accuracies on test images: PGD minus Square, and FGSM minus PGD. The other one is
    the same checkpoint of a stable trial with the same data, epsilon and model.
    """
    stable: dict[tuple[str, str], TrialRecord] = {}
    for record in records:
        if outcome(record) == "stable":
            for file in record.checkpoints:
                stable.setdefault((file, record.cell_id), record)
                stable.setdefault((file, _compared(record)), record)
    candidates = []
    for unstable in records:
        for name, masking in _masking(unstable).items() if outcome(unstable) == "unstable" else ():
            file = f"{name}.pt"
            beside = stable.get((file, unstable.cell_id))
            if other := beside or stable.get((file, _compared(unstable))):
                pair = LandscapePair(StoredCheckpoint(other, name), StoredCheckpoint(unstable, name))
                candidates.append((beside is not None, masking, pair))
    best = max(candidates, key=lambda candidate: candidate[:2], default=None)
    return best[2] if best else None


def _masking(record: TrialRecord) -> dict[CheckpointName, float]:
    """Gradient masking of each stored checkpoint that was measured on test images, see `landscape_pair`."""
    found: dict[CheckpointName, float] = {}
    for evidence in record.verdict.evidence if record.verdict else ():
        accuracy = {m.attack: m.accuracy for m in evidence.measurements if m.split == "test"}
        if evidence.checkpoint in ("selected", "last") and {"fgsm", "pgd-10", "square"} <= accuracy.keys():
            gaps = accuracy["pgd-10"] - accuracy["square"], accuracy["fgsm"] - accuracy["pgd-10"]
            if f"{evidence.checkpoint}.pt" in record.checkpoints:
                found[evidence.checkpoint] = max(gaps)
    return found


def _compared(record: TrialRecord) -> str:
    """The options that two trials must share if their landscapes are to be compared, as JSON."""
    return json.dumps([record.cell.get(name) for name in (*DataOptions.model_fields, "epsilon", "model")])
