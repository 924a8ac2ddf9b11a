"""Whether the data of a sweep admit robust classifiers at its radii, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analysis.statistics.intervals import clopper_pearson
from core.config.naming import format_number
from core.records import Feasibility, TrialRecord

WARN_ABOVE = 0.01
"""Share of test images above which a radius is called too large."""


def feasibility_note(dataset: str, found: Feasibility) -> str:
    """One sentence: ``At radius 0.28, 3.3 % of the test images of digits have ...``."""
    share = f"{100 * found.share:.1f} %"
    sample = ""
    if found.examined < found.test_images:
        ends = clopper_pearson(found.close, found.examined)
        share = f"about {share}"
        sample = (
            f" (95 % interval {100 * ends.low:.1f}–{100 * ends.high:.1f} %, from {found.examined} of "
            f"{found.test_images} images)"
        )
    warning = "Warning: " if found.share > WARN_ABOVE else ""
    return (
        f"{warning}At radius {format_number(found.epsilon)}, {share} of the test images of {dataset}{sample} have a "
        "training image of another class within twice the radius; no classifier is robust at both."
    )


def feasibility_of(records: Iterable[TrialRecord]) -> dict[tuple[str, float], Feasibility]:
    """What the records say of each data set and radius, in the order of the radii."""
    found = {_place(record.cell, record.feasibility): record.feasibility for record in records if record.feasibility}
    return dict(sorted(found.items()))


def feasibility_warnings(records: Iterable[TrialRecord]) -> list[str]:
    """A sentence for each data set and radius of which too many test images admit no robust classifier."""
    found = feasibility_of(records).items()
    return [feasibility_note(dataset, entry) for (dataset, _), entry in found if entry.share > WARN_ABOVE]


def _place(cell: Mapping[str, Any], found: Feasibility) -> tuple[str, float]:
    return str(cell.get("dataset")), found.epsilon
