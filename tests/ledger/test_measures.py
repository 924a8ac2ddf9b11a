"""Measures are stored beside the record, read with it, and shown in MLflow's metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.config import Sweep, Trial
from core.ledger.ledger import MEASURES, DamagedRecordError, Ledger
from core.records import Measured, TrialRecord
from core.storage import Store
from core.tracking.encode import measure_metrics


def measured(checkpoint: Any = "selected", images: int = 100, **values: float | None) -> Measured:
    return Measured(
        measure="margin",
        checkpoint=checkpoint,
        epoch=3,
        split="train",
        images=images,
        epsilon=0.1,
        steps=50,
        block=128,
        seed=0,
        values=values,
        arrays={"percentiles": (0.0, None, 2.0)},
    )


@pytest.fixture
def stored(tmp_path: Path, make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord]) -> Ledger:
    """A sweep with one finished trial, whose record has two measures."""
    ledger, sweep = Ledger(Store(str(tmp_path)).child("first"), "first"), make_sweep()
    ledger.enter(sweep)
    record = make_record(Trial(cell=sweep.entries[0].cell, seed=0), "stable")
    ledger.write(record)
    ledger.write_measures(record.model_copy(update={"measures": (measured(mean=1.5), measured("last", mean=None))}))
    return ledger


def test_a_record_is_read_with_its_measures(stored: Ledger) -> None:
    (record,) = stored.records().values()
    assert record.measures == (measured(mean=1.5), measured("last", mean=None))
    content = stored.trial_store(record.key).read("record.json")
    assert content is not None
    assert b"percentiles" not in content, "the record stays as the trial wrote it"


def test_damaged_measures_are_named(stored: Ledger) -> None:
    (key,) = stored.records()
    stored.trial_store(key).write(MEASURES, b"[{}]")
    with pytest.raises(DamagedRecordError, match=r"measures\.json"):
        stored.records()


def test_metrics_are_of_the_most_images_and_finite(stored: Ledger) -> None:
    (record,) = stored.records().values()
    more = (*record.measures, measured(images=200, mean=2.5), measured(images=50, mean=9.0))
    found = measure_metrics(record.model_copy(update={"measures": more}))
    assert found == {"measure/selected/margin/mean": 2.5}
