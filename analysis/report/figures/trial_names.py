"""The names of trials in figures."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.rates import varying_factors
from analysis.report.facets import CellFactors, describe, distinct_factors
from core.records import TrialRecord


class TrialNames:
    """Names of trials by the options that vary in ``records`` and by their seeds."""

    def __init__(self, records: Sequence[TrialRecord]) -> None:
        varying = varying_factors(records)
        cells = {record.cell_id: record.cell for record in records}.values()
        self._options = distinct_factors([CellFactors({name: cell.get(name) for name in varying}) for cell in cells])

    def __call__(self, record: TrialRecord) -> str:
        """The name of one trial: ``beta 1, batch_size 16, seed 3``."""
        return describe({**{name: record.cell.get(name) for name in self._options}, "seed": record.seed})
