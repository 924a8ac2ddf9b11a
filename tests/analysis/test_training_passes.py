from __future__ import annotations

from collections.abc import Callable

from analysis.questions.training_passes import training_passes
from core.config import Cell


def test_passes_are_those_of_all_epochs_that_were_run(record: Callable) -> None:
    """1,000 - 400 images in batches of 100, 3 and 4 gradient passes each (TRADES with 1 and 2 steps), by hand."""
    cells = [
        Cell.from_flat({"attack_steps": steps, "train_images": 1000, "batch_size": 100}).flat() for steps in (1, 2)
    ]
    records = [
        record(0, cell=cells[0], epochs_run=10, fields={"device_seconds": 30.0}),
        record(1, None, cell=cells[0], epochs_run=5, fields={"device_seconds": 15.0}),
        record(0, cell=cells[1], epochs_run=4, fields={"device_seconds": 16.0}),
        record(0, None, cell={"method": "of-a-plug-in"}, epochs_run=0),
    ]
    one, two, unknown = sorted(training_passes(records), key=lambda found: found.gradient_passes or 1e9)
    assert (one.gradient_passes, one.epochs_run, one.seconds_per_epoch) == (4 * 6 * 4, 4, 4.0)
    assert (two.gradient_passes, two.epochs_run, two.seconds_per_epoch) == (15 * 6 * 3, 15, 3.0)
    assert (unknown.per_batch, unknown.gradient_passes, unknown.seconds_per_epoch) == (None, None, None)
