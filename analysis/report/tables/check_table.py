"""The numbers of a check in one table."""

from __future__ import annotations

from analysis.report.attack_names import attack_name
from analysis.report.formatting import format_ends
from analysis.report.tables.text_table import TextTable
from analysis.statistics.intervals import interval
from core.records import Measurement, ModelCheck


def check_table(check: ModelCheck) -> TextTable:
    """One row per attack and per probe, with what the number rests on and how masking shows in it."""
    rows = [_attack_row(measurement) for measurement in check.measurements]
    early = f"{check.early_peaks}/{check.landscapes}"
    rows += [
        ("FOSC", "mean over images; 0 where PGD-10 has converged", f"{check.fosc:.2f}", ""),
        ("SGCS", "mean cosine between the steps of PGD-10", f"{check.sgcs:.2f}", ""),
        ("no gradient", "images whose loss has no gradient in float32", f"{100 * check.zero_gradients:.1f} %", ""),
        ("early peak", "images whose loss falls again along the gradient", early, ""),
    ]
    return TextTable(("measured", "with", "value", "95 % interval"), rows, words=2)


def _attack_row(measurement: Measurement) -> tuple[str, str, str, str]:
    found = interval("wilson", round(measurement.accuracy * measurement.images), measurement.images)
    settings = {
        "step" if measurement.steps == 1 else "steps": measurement.steps,
        "restarts": measurement.restarts if measurement.restarts != 1 else None,
        "target classes": measurement.targets,
        "queries": measurement.queries,
    }
    budget = [f"{value} {name}" for name, value in settings.items() if value]
    library = [] if measurement.library.startswith("unmask") else [measurement.library]
    name, value = attack_name(measurement.label), f"{100 * measurement.accuracy:.1f} %"
    return name, ", ".join([*budget, *library]), value, f"{format_ends(found)} %"
