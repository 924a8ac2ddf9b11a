"""The smallest trial that has all parts of a real one."""

from __future__ import annotations

CELL = {
    "classes": 5,
    "train_images": 81,
    "validation_images": 20,
    "test_images": 20,
    "batch_size": 16,
    "epochs": 3,
    "epsilon": 0.1,
    "attack_step_size": 0.05,
    "attack_steps": 2,
}
"""Options of a cell that trains in milliseconds, on 61 training images in 4 batches, the last one smaller."""
VERDICT = {"verdict_images": 20, "square_queries": 5, "pgd50_restarts": 1, "eval_steps": 3}
"""Options of a protocol whose verdict takes milliseconds, too."""
