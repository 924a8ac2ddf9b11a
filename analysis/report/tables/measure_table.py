"""Tables of measures: one row per cell and outcome, the numbers of the papers as columns."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.measures import MeasureRow, measure_rows, measured_kinds
from analysis.report.facets import distinct_factors
from analysis.report.formatting import NOTHING, format_value
from analysis.report.tables.text_table import TextTable
from analysis.statistics.means import MeanStd
from core.config.naming import format_number
from core.records import CheckpointName, TrialRecord

COLUMNS: dict[str, dict[str, str]] = {
    "adversarial-vulnerability": {
        "mean": "mean",
        "sd": "SD",
        "top10": "top 10 %",
        "bottom10": "bottom 10 %",
        "at_least_1": "≥ 1",
        "at_most_0": "≤ 0",
    },
    "margin": {
        "mean": "mean",
        "median": "median",
        "attack_length": "attack's length",
        "within_third": "within ε/3",
        "within_attack": "within ε",
        "beyond_twice": "beyond 2 ε",
        "unchanged": "never changed",
    },
    "linearity-error": {"mean": "mean", "sd": "SD", "median": "median"},
    "lipschitz": {"lower_mean": "lower bound", "upper_mean": "upper bound", "upper_median": "upper, median"},
    "boundary-distortion": {"share": "distorted", "fgsm_acc": "resist FGSM", "of_resisting": "distorted of these"},
    "calibration": {
        "clean_ece": "ECE, clean",
        "attacked_ece": "ECE, attacked",
        "clean_overconfidence": "overconfidence, clean",
        "attacked_overconfidence": "overconfidence, attacked",
        "attacked_acc": "accuracy, attacked",
    },
    "minimal-deepfool": {"fooling": "fooling rate", "mean_norm": "mean l2 norm", "median_norm": "median"},
    "minimal-cw": {"fooling": "fooling rate", "mean_norm": "mean l2 norm", "median_norm": "median"},
    "weight-landscape": {"centre": "loss at 0", "rise": "mean rise", "highest": "highest"},
    "weight-landscape-2d": {"centre": "loss at 0", "rise": "mean rise", "highest": "highest"},
    "input-landscape": {"centre": "loss at 0", "rise": "mean rise", "highest": "highest"},
}
"""Values of each measure in the order of the columns, with their names."""
TITLES = {
    "adversarial-vulnerability": "Adversarial vulnerability",
    "margin": "Margin along the attack",
    "linearity-error": "Linearity error",
    "lipschitz": "Local Lipschitz constant",
    "boundary-distortion": "Boundary distortion",
    "calibration": "Calibration",
    "minimal-deepfool": "Least l2 norm, DeepFool",
    "minimal-cw": "Least l2 norm, C&W",
    "weight-landscape": "Weight landscape",
    "weight-landscape-2d": "Weight landscape, 2-D",
    "input-landscape": "Input landscape",
}


def measure_tables(records: Sequence[TrialRecord]) -> list[TextTable]:
    """One table for each checkpoint and measure that any trial has."""
    return [measure_table(records, *kind) for kind in measured_kinds(records)]


def measure_table(records: Sequence[TrialRecord], checkpoint: CheckpointName, measure: str) -> TextTable:
    """The means of one measure of one checkpoint over the trials of each cell, by outcome."""
    rows = measure_rows(records, checkpoint, measure)
    names = distinct_factors(rows)
    columns = COLUMNS[measure]
    lines = [
        [
            *([format_value(row.factors[name]) for name in names] or [row.setting]),
            row.outcome,
            str(row.trials),
            *(_number(row.values.get(name)) for name in columns),
        ]
        for row in rows
    ]
    header = [*(names or ["cell"]), "outcome", "trials", *columns.values()]
    return TextTable(header, lines, len(names or ["cell"]) + 1, f"{TITLES[measure]}, {_caption(rows, checkpoint)}")


def _caption(rows: Sequence[MeasureRow], checkpoint: str) -> str:
    settings = dict.fromkeys(setting for row in rows for setting in row.settings)
    radii = sorted({radius for row in rows for radius in row.radii})
    radius = f", radius {' or '.join(format_number(radius) for radius in radii)}" if radii else ""
    differ = " Trials differ in their settings: these means cannot be compared directly." if len(settings) > 1 else ""
    return f"{checkpoint} checkpoints: {' or '.join(settings)}{radius}. Mean ± sample sd over trials.{differ}"


def _number(value: MeanStd | None) -> str:
    if value is None:
        return NOTHING
    return f"{value.mean:.3g}" + ("" if value.deviation is None else f" ± {value.deviation:.2g}")
